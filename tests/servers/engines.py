"""What tests ask for that are about both engines: each of their tests is run on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.servers.harness import PostgresHarness
from tests.servers.ledgers import Ledgers

from cgk_jobs.testing import JobsHarness, TestClock

__all__ = ["engine", "jobs_harness", "ledger_address"]


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> str:
    """Whose ledger it is."""
    return str(request.param)


@pytest.fixture
async def jobs_harness(
    engine: str, jobs_clock: TestClock, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[JobsHarness]:
    """The harness of an application of its own, on either engine."""
    if engine == "sqlite":
        with JobsHarness(folder=tmp_path, clock=jobs_clock) as harness:
            yield harness
        return
    ledgers: Ledgers = request.getfixturevalue("postgres_ledgers")
    database = ledgers.fresh()
    with PostgresHarness(database, folder=tmp_path, clock=jobs_clock) as harness:
        yield harness
    ledgers.drop(database)


@pytest.fixture
def ledger_address(jobs_harness: JobsHarness) -> str:
    """By which another application comes to the harness's ledger."""
    if isinstance(jobs_harness, PostgresHarness):
        return jobs_harness.database.worker_url
    return f"sqlite:///{jobs_harness.folder / 'jobs.db'}"
