"""Fixtures of the servers the tests run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.servers.ledgers import Ledgers
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import LedgerDatabase, PostgresServer, running_server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """PostgreSQL, started with the first test that asks for it."""
    yield from running_server()


@pytest.fixture(scope="session")
def postgres_ledgers(postgres_server: PostgresServer) -> Iterator[Ledgers]:
    """Makes ledger databases."""
    ledgers = Ledgers(postgres_server)
    yield ledgers
    ledgers.close()


@pytest.fixture
def postgres_database(postgres_ledgers: Ledgers) -> Iterator[LedgerDatabase]:
    """A fresh ledger, dropped after the test."""
    database = postgres_ledgers.fresh()
    yield database
    postgres_ledgers.server.drop_later(database.name)


@pytest.fixture(scope="session")
def pgbouncer(postgres_server: PostgresServer) -> Iterator[PgBouncer]:
    """PgBouncer in transaction mode with two server connections, which knows prepared statements."""
    with PgBouncer(postgres_server) as pooler:
        yield pooler


@pytest.fixture(scope="session")
def old_pgbouncer(postgres_server: PostgresServer) -> Iterator[PgBouncer]:
    """PgBouncer in transaction mode with two server connections, where prepared statements don't work."""
    with PgBouncer(postgres_server, prepared=0) as pooler:
        yield pooler
