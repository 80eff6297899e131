"""``jobs.sync`` and plain handlers: the statements are run in the thread the connection belongs to."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import asyncpg
import psycopg
import pytest
from sqlalchemy import NullPool, create_engine
from sqlalchemy.orm import Session
from tests.integration.postgres.joining.applications import (
    NOTHING,
    OrderShipped,
    Shop,
    order,
    sqlalchemy_address,
)
from tests.integration.postgres.joining.test_transactional_send import ears_of

from cgk_jobs import Context, NotConfigured, tenant
from cgk_jobs.engine.postgres.joining import psycopg_connections


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The threads psycopg's statements were run in."""
    seen: set[int] = set()
    run = psycopg_connections._Blocking._row

    def row(self: Any, *arguments: Any) -> Any:
        seen.add(threading.get_ident())
        return run(self, *arguments)

    monkeypatch.setattr(psycopg_connections._Blocking, "_row", row)
    return seen


async def test_the_callers_thread_runs_the_statements(shop: Shop, threads: set[int]) -> None:
    def view() -> int:
        with psycopg.connect(shop.database.tenant_url) as connection, tenant("acme"):
            shop.jobs.sync.send(order(1), connection=connection)
            shop.jobs.sync.send_many([order(2)], connection=connection)
        return threading.get_ident()

    assert {await asyncio.to_thread(view)} == threads
    await shop.ran("order-1", "order-2")


async def test_a_plain_handler_sends_in_its_own_thread(shop: Shop, threads: set[int]) -> None:
    handlers: set[int] = set()

    @shop.jobs.task(on=OrderShipped, id="ship")
    def ship(event: OrderShipped, ctx: Context) -> None:
        with psycopg.connect(shop.database.tenant_url) as connection:
            ctx.sync.send(order(1), connection=connection)
        handlers.add(threading.get_ident())

    await shop.jobs.send(OrderShipped(tenant_id="acme", order_id="1"))
    await shop.ran("order-1")
    assert threads == handlers


async def test_an_async_handler_sends_in_its_transaction(shop: Shop) -> None:
    @shop.jobs.task(on=OrderShipped, id="ship")
    async def ship(event: OrderShipped, ctx: Context) -> None:
        connection = await asyncpg.connect(shop.database.tenant_url)
        async with connection.transaction():
            await ctx.send(order(1), connection=connection, key=ctx.idempotency_key("order"))
        await connection.close()

    await shop.jobs.send(OrderShipped(tenant_id="acme", order_id="1"))
    await shop.ran("order-1")


async def test_an_awaited_connection_is_refused_by_blocking_calls(shop: Shop) -> None:
    for connection in (
        await psycopg.AsyncConnection.connect(shop.database.tenant_url),
        await asyncpg.connect(shop.database.tenant_url),
    ):
        with pytest.raises(NotConfigured, match=r"use `await jobs\.send"):
            await asyncio.to_thread(shop.jobs.sync.send, order(1), connection=connection)
        await connection.close()
    assert shop.stored() == NOTHING


async def test_a_session_of_sqlalchemy(shop: Shop) -> None:
    ears = ears_of(shop.jobs)

    def view() -> None:
        engine = create_engine(sqlalchemy_address(shop.database.tenant_url, "psycopg"), poolclass=NullPool)
        with Session(engine) as session, session.begin():
            shop.jobs.sync.send(order(1), connection=session)

    loop = asyncio.get_running_loop()
    heard = ears.heard.set
    ears.heard.set = lambda: loop.call_soon_threadsafe(heard)  # type: ignore[assignment]
    await asyncio.to_thread(view)
    await ears.heard.wait()
    assert shop.rows("SELECT state FROM cgk_jobs.runs") == [("queued",)]
