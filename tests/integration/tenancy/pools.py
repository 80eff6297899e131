"""Pools of one connection, of psycopg and of asyncpg, with one face for the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from tests.integration.tenancy.shop import notes

from cgk_jobs import tenant
from cgk_jobs.tenancy import tenant_connection

LEFT_BEHIND = (
    "CREATE TEMP TABLE left_behind AS SELECT 'secret' AS note",
    "DECLARE held CURSOR WITH HOLD FOR SELECT 'secret' AS note",
    "PREPARE trap AS SELECT 'secret' AS note",
    "SELECT pg_advisory_lock(4711)",
    "SET search_path = pg_temp, public",
)
"""What a handler may leave on its connection beyond the transaction."""


class Psycopg:
    """A pool of psycopg, async."""

    def __init__(self, url: str) -> None:
        # dict_row and binary parameters: the guard must not depend on how the application's cursors are made.
        self.pool = AsyncConnectionPool(
            url, min_size=1, max_size=1, open=False, kwargs={"row_factory": dict_row}, reconnect_timeout=5
        )

    async def __aenter__(self) -> Psycopg:
        await self.pool.open(wait=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pool.close()

    def connection(self, guard: Any) -> Any:
        return tenant_connection(self.pool, guard)

    def unguarded(self) -> Any:
        return self.pool.connection()

    async def run(self, connection: Any, text: str) -> list[Any]:
        cursor = await connection.execute(text.encode())
        return [] if cursor.description is None else [next(iter(row.values())) for row in await cursor.fetchall()]


class Asyncpg:
    """A pool of asyncpg."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def __aenter__(self) -> Asyncpg:
        self.pool = await asyncpg.create_pool(self.url, min_size=1, max_size=1)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pool.close()

    def connection(self, guard: Any) -> Any:
        return tenant_connection(self.pool, guard)

    def unguarded(self) -> Any:
        return self.pool.acquire()

    async def run(self, connection: Any, text: str) -> list[Any]:
        return [row[0] for row in await connection.fetch(text)]


@asynccontextmanager
async def opened(driver: str, url: str) -> AsyncIterator[Psycopg | Asyncpg]:
    async with Psycopg(url) if driver == "psycopg" else Asyncpg(url) as pool:
        yield pool


async def look(pool: Any, guard: Any, kind: str, name: str) -> list[str]:
    with tenant(name):
        async with pool.connection(guard) as connection:
            found: list[str] = await pool.run(connection, notes(kind))
            return found
