"""How the suites make a store on PostgreSQL, and let one of its workers look dead."""

from __future__ import annotations

from pathlib import Path

import psycopg
from tests.servers.ledgers import Ledgers
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import LedgerDatabase

from cgk_jobs.clock import Clock
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.engine.store import Store, WorkerSeat

__all__ = ["PostgresLedgers"]


class PostgresLedgers:
    """Stores by folder: those of one folder are on one ledger. With a ``pooler`` they reach it that way."""

    def __init__(self, ledgers: Ledgers, pooler: PgBouncer | None = None) -> None:
        self._ledgers = ledgers
        self._pooler = pooler
        self._databases: dict[int, LedgerDatabase] = {}

    def store(self, folder: Path, clock: Clock) -> PostgresStore:
        """A store on the folder's ledger."""
        database = self._ledgers.of_folder(folder)
        url = database.worker_url
        store = PostgresStore(url if self._pooler is None else self._pooler.address(url), clock)
        self._databases[id(store)] = database
        return store

    def bury(self, store: Store, seat: WorkerSeat) -> None:
        """A killed process leaves its row, and nobody prolongs its lease any more."""
        database = self._databases[id(store)]
        with psycopg.connect(database.admin_url) as connection:
            buried = connection.execute(
                "UPDATE cgk_jobs.workers SET beat_at = 0, lease_until = 0 WHERE id = %s", (seat.id,)
            )
            assert buried.rowcount == 1
