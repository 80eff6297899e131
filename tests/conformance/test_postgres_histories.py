"""Random histories on PostgreSQL: a quick look with the tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tests.conformance.postgres import PostgresLedgers
from tests.servers.ledgers import Ledgers

from cgk_jobs.clock import Clock
from cgk_jobs.engine.store import Store, WorkerSeat
from cgk_jobs.testing.conformance.stateful import store_histories

# Each history has a database of its own; a busy machine takes its time for those.
pytestmark = pytest.mark.timeout(240)

_server: list[PostgresLedgers] = []


@pytest.fixture(autouse=True, scope="module")
def _ledgers(postgres_ledgers: Ledgers) -> Iterator[None]:
    # A state machine takes no fixtures.
    _server.append(PostgresLedgers(postgres_ledgers))
    yield
    _server.clear()
    postgres_ledgers.drop_of_folders()


def postgres_store(folder: Path, clock: Clock) -> Store:
    return _server[0].store(folder, clock)


def bury_postgres_worker(store: Store, seat: WorkerSeat) -> None:
    _server[0].bury(store, seat)


TestPostgresHistories = store_histories(postgres_store, bury_postgres_worker).TestCase
TestPostgresHistories.settings = settings(
    max_examples=8,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
