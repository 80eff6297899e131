"""The conformance suite on SQLite."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from cgk_jobs.clock import Clock
from cgk_jobs.engine.sqlite.store import SqliteStore
from cgk_jobs.engine.store import Store, WorkerSeat
from cgk_jobs.testing.conformance import StoreConformance


def sqlite_store(folder: Path, clock: Clock) -> SqliteStore:
    return SqliteStore(folder / "jobs.db", clock)


def bury_sqlite_worker(store: Store, seat: WorkerSeat) -> None:
    """A killed process leaves its row, and a lock file that nobody holds; here one that is not there."""
    assert isinstance(store, SqliteStore)
    connection = sqlite3.connect(store.path, isolation_level=None, timeout=10)
    connection.execute(
        "UPDATE workers SET pid = 0, lock_file = lock_file || '.gone', doorbell = '' WHERE id = ?", (seat.id,)
    )
    connection.close()


class TestSqliteStore(StoreConformance):
    def make_store(self, folder: Path, clock: Clock) -> Store:
        return sqlite_store(folder, clock)

    async def bury(self, store: Store, seat: WorkerSeat) -> None:
        bury_sqlite_worker(store, seat)
