"""Statements of a test, under a name as those in files have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cgk_jobs.engine.postgres.server import QUERIES


@contextmanager
def statement(text: str, name: str = "of_a_test") -> Iterator[str]:
    """``text`` under ``name``, as long as the block lasts."""
    QUERIES[name] = text
    try:
        yield name
    finally:
        del QUERIES[name]
