"""An application whose order table is in the ledger's database, and its connections of every driver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import psycopg
from psycopg.rows import dict_row
from sqlalchemy import NullPool, create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from tests.servers.postgres import LedgerDatabase

from cgk_jobs import Context, Event, Jobs

__all__ = [
    "INSERT",
    "KINDS",
    "NOTHING",
    "SOME_KINDS",
    "Opened",
    "OrderPlaced",
    "OrderShipped",
    "Shop",
    "connection_of",
    "order",
    "sqlalchemy_address",
]

INSERT = "INSERT INTO shop_orders VALUES ('{}')"
"""A write of the application's own."""
NOTHING = dict.fromkeys(
    ("runs", "run_tags", "unrouted_events", "idempotency_keys", "tenants", "finished_runs", "orders"), 0
)
"""What ``Shop.stored`` says of an untouched ledger."""


class OrderPlaced(Event, name="shop.order_placed"):
    order_id: str


class OrderShipped(Event, name="shop.order_shipped"):
    """Nobody listens to it."""

    order_id: str


def order(number: int, tenant_id: str = "acme") -> OrderPlaced:
    return OrderPlaced(tenant_id=tenant_id, order_id=f"order-{number}")


class Shop:
    """``jobs`` has one task, which notes the orders it was run for."""

    def __init__(self, database: LedgerDatabase) -> None:
        self.database = database
        self.jobs = Jobs(database.worker_url)
        self.done: list[str] = []
        self._news = asyncio.Event()
        with psycopg.connect(database.admin_url) as admin:
            admin.execute("CREATE TABLE shop_orders (id text)")
            admin.execute("GRANT ALL ON shop_orders TO PUBLIC")

        @self.jobs.task(on=OrderPlaced, id="sync-order", tags=["sync"])
        async def sync_order(event: OrderPlaced, ctx: Context) -> None:
            self.done.append(event.order_id)
            self._news.set()

    async def ran(self, *order_ids: str) -> None:
        """Start a worker, wait until the task was run for these orders, and see that it was for no others."""
        await self.jobs.start()
        while len(self.done) < len(order_ids):
            self._news.clear()
            await self._news.wait()
        await self.jobs.stop()
        assert sorted(self.done) == sorted(order_ids)

    def rows(self, statement: str) -> list[Any]:
        """What the administrator sees."""
        with psycopg.connect(self.database.admin_url) as admin:
            return admin.execute(statement.encode()).fetchall()

    def stored(self) -> dict[str, int]:
        """How many rows there are of everything a send may leave."""
        counts = {
            table: self.rows(f"SELECT count(*) FROM cgk_jobs.{table}")[0][0] for table in NOTHING if table != "orders"
        }
        return {**counts, "orders": self.rows("SELECT count(*) FROM shop_orders")[0][0]}

    async def until_somebody_waits(self) -> None:
        """Wait until a session waits for a lock."""
        waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        while not await asyncio.to_thread(self.rows, waiting):
            continue


@dataclass(frozen=True)
class Opened:
    """A connection as an application has it, its transaction begun or about to be; ``execute`` runs a statement of its own."""

    connection: Any
    execute: Callable[[str], Awaitable[Any]]
    commit: Callable[[], Awaitable[Any]]
    rollback: Callable[[], Awaitable[Any]]

    async def row(self, text: str) -> tuple[Any, ...]:
        """The first row of a statement, whatever gives it."""
        found = await self.execute(text)
        if isinstance(found, list):
            return tuple(found[0])
        row = found.fetchone()
        row = await row if asyncio.iscoroutine(row) else row
        return tuple(row.values()) if isinstance(row, dict) else tuple(row)


def sqlalchemy_address(url: str, driver: str) -> str:
    return url.replace("postgresql://", f"postgresql+{driver}://", 1)


def _soon(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    async def call(*arguments: Any) -> Any:
        return function(*arguments)

    return call


@asynccontextmanager
async def _psycopg(url: str, autocommit: bool) -> AsyncGenerator[Opened, None]:
    with psycopg.connect(url, autocommit=autocommit) as connection:
        yield Opened(
            connection,
            _soon(lambda text: connection.execute(text.encode())),
            _soon(connection.commit),
            _soon(connection.rollback),
        )


@asynccontextmanager
async def _psycopg_cursor(url: str, autocommit: bool) -> AsyncGenerator[Opened, None]:
    with (
        psycopg.connect(url, autocommit=autocommit) as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        yield Opened(
            cursor,
            _soon(lambda text: cursor.execute(text.encode())),
            _soon(connection.commit),
            _soon(connection.rollback),
        )


@asynccontextmanager
async def _psycopg_async(url: str, autocommit: bool) -> AsyncGenerator[Opened, None]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=autocommit) as connection:
        yield Opened(connection, lambda text: connection.execute(text.encode()), connection.commit, connection.rollback)


async def _begun(connection: Any, autocommit: bool) -> Opened:
    async def execute(text: str) -> Any:
        return await (connection.fetch(text) if text.startswith("SELECT") else connection.execute(text))

    if autocommit:
        return Opened(connection, execute, _soon(lambda: None), _soon(lambda: None))
    transaction = connection.transaction()
    await transaction.start()
    return Opened(connection, execute, transaction.commit, transaction.rollback)


@asynccontextmanager
async def _asyncpg(url: str, autocommit: bool) -> AsyncGenerator[Opened, None]:
    connection = await asyncpg.connect(url)
    try:
        yield await _begun(connection, autocommit)
    finally:
        connection.terminate()


@asynccontextmanager
async def _asyncpg_pool(url: str, autocommit: bool) -> AsyncGenerator[Opened, None]:
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool, pool.acquire() as connection:
        yield await _begun(connection, autocommit)
        connection.terminate()


def _isolation(autocommit: bool) -> dict[str, Any]:
    return {"poolclass": NullPool, **({"isolation_level": "AUTOCOMMIT"} if autocommit else {})}


@asynccontextmanager
async def _sqlalchemy_connection(url: str, autocommit: bool) -> AsyncGenerator[Opened, None]:
    engine = create_engine(sqlalchemy_address(url, "psycopg"), **_isolation(autocommit))
    with engine.connect() as connection:
        yield Opened(
            connection, _soon(connection.exec_driver_sql), _soon(connection.commit), _soon(connection.rollback)
        )


@asynccontextmanager
async def _sqlalchemy_session(url: str, autocommit: bool) -> AsyncGenerator[Opened, None]:
    engine = create_engine(sqlalchemy_address(url, "psycopg"), **_isolation(autocommit))
    with Session(engine) as session:
        yield Opened(
            session,
            _soon(lambda text: session.connection().exec_driver_sql(text)),
            _soon(session.commit),
            _soon(session.rollback),
        )


def _sqlalchemy_async_connection(driver: str) -> Callable[[str, bool], AbstractAsyncContextManager[Opened]]:
    @asynccontextmanager
    async def opened(url: str, autocommit: bool) -> AsyncGenerator[Opened, None]:
        engine = create_async_engine(sqlalchemy_address(url, driver), **_isolation(autocommit))
        async with engine.connect() as connection:
            yield Opened(connection, connection.exec_driver_sql, connection.commit, connection.rollback)

    return opened


def _sqlalchemy_async_session(driver: str) -> Callable[[str, bool], AbstractAsyncContextManager[Opened]]:
    @asynccontextmanager
    async def opened(url: str, autocommit: bool) -> AsyncGenerator[Opened, None]:
        engine = create_async_engine(sqlalchemy_address(url, driver), **_isolation(autocommit))
        async with AsyncSession(engine) as session:

            async def execute(text: str) -> Any:
                return await (await session.connection()).exec_driver_sql(text)

            yield Opened(session, execute, session.commit, session.rollback)

    return opened


KINDS: dict[str, Callable[[str, bool], AbstractAsyncContextManager[Opened]]] = {
    "psycopg": _psycopg,
    "psycopg-cursor": _psycopg_cursor,
    "psycopg-async": _psycopg_async,
    "asyncpg": _asyncpg,
    "asyncpg-pool": _asyncpg_pool,
    "sqlalchemy-connection": _sqlalchemy_connection,
    "sqlalchemy-session": _sqlalchemy_session,
    "sqlalchemy-async-psycopg": _sqlalchemy_async_connection("psycopg"),
    "sqlalchemy-async-asyncpg": _sqlalchemy_async_connection("asyncpg"),
    "sqlalchemy-async-session-psycopg": _sqlalchemy_async_session("psycopg"),
    "sqlalchemy-async-session-asyncpg": _sqlalchemy_async_session("asyncpg"),
}
"""How each is opened; Django's are in a file of their own."""

SOME_KINDS = ("psycopg", "asyncpg", "sqlalchemy-session", "sqlalchemy-async-session-asyncpg")
"""One of each library's ways, for what does not depend on the rest."""


def connection_of(kind: str, url: str, *, autocommit: bool = False) -> AbstractAsyncContextManager[Opened]:
    """A connection of that kind for the length of a block."""
    return KINDS[kind](url, autocommit)
