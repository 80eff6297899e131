from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from tests.integration.postgres.joining.applications import Shop
from tests.servers.ledgers import Ledgers
from tests.servers.postgres import PASSWORD, LedgerDatabase, PostgresServer


@pytest.fixture
async def shop(postgres_database: LedgerDatabase) -> AsyncIterator[Shop]:
    """An application with a ledger in its own database. No worker runs."""
    shop = Shop(postgres_database)
    await shop.jobs.declare()
    yield shop
    shop.jobs.close()


APPLICATION = "shop_of_the_tests"


@pytest.fixture
def stranger_url(postgres_server: PostgresServer, postgres_database: LedgerDatabase) -> Iterator[str]:
    """The application's own login, which has nothing to do with the ledger."""
    postgres_server.execute(f"CREATE ROLE {APPLICATION} LOGIN PASSWORD '{PASSWORD}'")
    yield postgres_server.address(postgres_database.name, APPLICATION, PASSWORD)
    with psycopg.connect(postgres_database.admin_url) as admin:
        admin.execute(f"DROP OWNED BY {APPLICATION}")
    postgres_server.execute(f"DROP ROLE {APPLICATION}")


@pytest.fixture
def application_url(postgres_server: PostgresServer, postgres_ledgers: Ledgers, stranger_url: str) -> str:
    """The application's own login, which was granted what a tenant's may do."""
    postgres_server.execute("GRANT {} TO {}", postgres_ledgers.roles.tenant, APPLICATION)
    return stranger_url
