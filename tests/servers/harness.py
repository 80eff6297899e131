"""The harness of an application under test, on PostgreSQL."""

# mypy sees the conflict of bases below, pyright does not.
# pyright: reportUnnecessaryTypeIgnoreComment=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from tests.servers.postgres import LedgerDatabase

from cgk_jobs.clock import Clock
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.testing import JobsHarness
from cgk_jobs.testing.recording import Recording

__all__ = ["PostgresHarness"]

_LEASE = 1e9
"""Seconds. Leases count by the clock the test moves, by a day if it likes: only who is buried is dead."""


class _RecordingStore(Recording, PostgresStore):  # type: ignore[misc]  # type checkers see SQLite's store behind Recording
    def __init__(self, database: LedgerDatabase, clock: Clock) -> None:
        super().__init__(database.worker_url, clock)
        self._admin_url = database.admin_url

    async def take_seat(self, queues: Sequence[str], concurrency: int, lease: float) -> Any:
        return await PostgresStore.take_seat(self, queues, concurrency, _LEASE)

    async def bury(self, worker: int) -> None:
        with psycopg.connect(self._admin_url) as connection:
            connection.execute("UPDATE cgk_jobs.workers SET lease_until = 0 WHERE id = %s", (worker,))
        await PostgresStore.rescue(self, 0.0)


class PostgresHarness(JobsHarness):
    """As the harness users have, with a ledger in ``database``."""

    def __init__(self, database: LedgerDatabase, **options: Any) -> None:
        self.database = database
        super().__init__(**options)

    def _make_store(self) -> Recording:
        return _RecordingStore(self.database, self.clock)
