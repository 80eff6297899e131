"""An application's database with two tenants: a schema each, and shared tables under row security."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from tests.integration.tenancy.pools import opened
from tests.integration.tenancy.shop import Shop, make_shop
from tests.servers.ledgers import Ledgers
from tests.servers.redis import running_redis


@pytest.fixture(scope="session")
def shop(postgres_ledgers: Ledgers) -> Iterator[Shop]:
    """The application's database. Tests leave its rows as they are."""
    ledger = postgres_ledgers.fresh()
    yield make_shop(ledger)
    postgres_ledgers.drop(ledger)


@pytest.fixture
def admin(shop: Shop) -> Iterator[psycopg.Connection]:
    """Somebody who sees the server from outside."""
    with psycopg.connect(shop.admin_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis server, started with the first test that asks for it."""
    yield from running_redis()


@pytest.fixture(params=["psycopg", "asyncpg"])
async def pool(request: pytest.FixtureRequest, shop: Shop) -> AsyncIterator[Any]:
    async with opened(request.param, shop.url) as pool:
        yield pool
