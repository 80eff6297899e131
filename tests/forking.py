"""Processes forked from a server that has imported what they need: one begins in some milliseconds instead of a second.

There is one such server for each process of tests, made with the first fork, so all that any test forks is listed here.
"""

from __future__ import annotations

import multiprocessing

__all__ = ["forks"]

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(
    [
        "__main__",
        "tests.reliability.application",
        "tests.reliability.postgres.application",
        "tests.reliability.kill_points.lives",
        "cgk_jobs.engine.sqlite.store",
        "cgk_jobs.engine.postgres.store",
    ]
)
