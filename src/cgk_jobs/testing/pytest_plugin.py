"""pytest fixtures: ``jobs_app``, ``jobs_clock``, ``jobs_harness``.

Nothing but pytest is imported before a fixture is used, and no asyncio plugin is needed: the fixtures are plain ones, and
``jobs_harness.sync`` has the blocking methods for tests without an event loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cgk_jobs.app import Jobs
    from cgk_jobs.testing.clock import TestClock
    from cgk_jobs.testing.harness import JobsHarness

__all__ = ["jobs_app", "jobs_clock", "jobs_harness"]

pytest.register_assert_rewrite("cgk_jobs.testing.conformance")


@pytest.fixture
def jobs_app() -> Jobs | None:
    """The application under test. Override it in ``conftest.py``; as it is, each test gets a new, empty one."""
    return None


@pytest.fixture
def jobs_clock() -> TestClock:
    """The clock of ``jobs_harness``: it starts at 2026-01-01 UTC and stands still until it is moved."""
    from cgk_jobs.testing.clock import TestClock

    return TestClock()


@pytest.fixture
def jobs_harness(jobs_app: Jobs | None, jobs_clock: TestClock, tmp_path: Path) -> Iterator[JobsHarness]:
    """A :class:`cgk_jobs.testing.JobsHarness` for ``jobs_app`` under ``jobs_clock``, with a ledger of its own."""
    from cgk_jobs.testing.harness import JobsHarness

    with JobsHarness(jobs_app, folder=tmp_path, clock=jobs_clock) as harness:
        yield harness
