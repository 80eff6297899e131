"""The conformance suite on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.postgres import PostgresLedgers
from tests.servers.ledgers import Ledgers

from cgk_jobs.clock import Clock
from cgk_jobs.engine.store import Store, WorkerSeat
from cgk_jobs.testing.conformance import StoreConformance


class TestPostgresStore(StoreConformance):
    ledgers: PostgresLedgers
    numbers_in_one_place = False

    @pytest.fixture(autouse=True)
    def _database(self, postgres_ledgers: Ledgers) -> Iterator[None]:
        self.ledgers = PostgresLedgers(postgres_ledgers)
        yield
        postgres_ledgers.drop_of_folders()

    def make_store(self, folder: Path, clock: Clock) -> Store:
        return self.ledgers.store(folder, clock)

    async def bury(self, store: Store, seat: WorkerSeat) -> None:
        self.ledgers.bury(store, seat)
