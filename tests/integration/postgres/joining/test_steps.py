"""Steps that are journalled in the application's transaction: their writes and the journal's entry are there, or neither."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from tests.integration.postgres.joining.applications import INSERT, KINDS, SOME_KINDS, Shop, connection_of, order
from tests.servers.ledgers import Ledgers

from cgk_jobs import NotConfigured, Unsupported
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.engine.records import Appetite, Claim
from cgk_jobs.runtime.entries import JournalEntry

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
SOME = pytest.mark.parametrize("kind", SOME_KINDS)
ENTRY = JournalEntry("charge", '{"cents": 5}', 0, ordered=True, undoable=True)


def store_of(shop: Shop) -> PostgresStore:
    store = shop.jobs.provider.store
    assert isinstance(store, PostgresStore)
    return store


@pytest.fixture
async def claim(shop: Shop) -> AsyncIterator[Claim]:
    """A running attempt, whose worker does nothing."""
    store = store_of(shop)
    await shop.jobs.send(order(1))
    seat = await store.take_seat(["default"], 1, 600.0)
    exchange = await store.exchange(seat.id, [], Appetite(["default"], 1, {"sync-order": None}))
    yield exchange.claims[0]
    await seat.leave()


def steps(shop: Shop) -> list[Any]:
    return shop.rows(
        "SELECT name, result, place, ordered, undoable, failed, tenant_id FROM cgk_jobs.steps ORDER BY name"
    )


RECORDED = ("charge", '{"cents": 5}', 0, True, True, False, "acme")


@EVERY_KIND
async def test_a_step_is_committed_with_its_writes(shop: Shop, claim: Claim, kind: str) -> None:
    async with connection_of(kind, shop.database.tenant_url) as opened:
        await opened.execute(INSERT.format("order-1"))
        assert await store_of(shop).record_step_in(opened.connection, claim, ENTRY)
        assert await opened.row("SELECT cgk_jobs.bound_tenant()") == (None,)
        assert steps(shop) == []
        await opened.commit()
    assert steps(shop) == [RECORDED]
    assert await store_of(shop).steps(claim) == {"charge": '{"cents": 5}'}


@SOME
async def test_a_rollback_takes_the_entry_with_it(shop: Shop, claim: Claim, kind: str) -> None:
    async with connection_of(kind, shop.database.tenant_url) as opened:
        assert await store_of(shop).record_step_in(opened.connection, claim, ENTRY)
        await opened.rollback()
    assert steps(shop) == []


@EVERY_KIND
async def test_the_transaction_of_a_step(shop: Shop, claim: Claim, kind: str) -> None:
    store = store_of(shop)

    async def charge(connection: Any, execute: Any, name: str, error: Exception | None) -> None:
        async with store.step_transaction(connection, claim) as transaction:
            await execute(INSERT.format(name))
            assert await transaction.record(ENTRY._replace(name=name))
            if error is not None:
                raise error

    async with connection_of(kind, shop.database.tenant_url) as opened:
        if kind.startswith("asyncpg"):
            await opened.rollback()
        await charge(opened.connection, opened.execute, "one", None)
        with pytest.raises(RuntimeError):
            await charge(opened.connection, opened.execute, "two", RuntimeError())
    assert [row[0] for row in steps(shop)] == ["one"]
    assert shop.rows("SELECT id FROM shop_orders") == [("one",)]


@EVERY_KIND
async def test_a_step_begins_its_own_transaction(shop: Shop, claim: Claim, kind: str) -> None:
    async with connection_of(kind, shop.database.tenant_url) as opened:
        await opened.execute(INSERT.format("order-1"))
        with pytest.raises(NotConfigured, match="has a transaction open"):
            async with store_of(shop).step_transaction(opened.connection, claim):
                raise AssertionError
        await opened.commit()


async def test_another_database(shop: Shop, claim: Claim, postgres_ledgers: Ledgers) -> None:
    other = postgres_ledgers.fresh()
    with psycopg.connect(other.tenant_url) as connection:
        with pytest.raises(Unsupported, match=r"step\(connection=…\) to another database"):
            async with store_of(shop).step_transaction(connection, claim):
                raise AssertionError
        with pytest.raises(Unsupported, match="another database"):
            await store_of(shop).record_step_in(connection, claim, ENTRY)
        connection.rollback()
    postgres_ledgers.drop(other)


@pytest.mark.parametrize(
    "change",
    ["claim = claim + 1", "state = 'queued', worker = NULL", "tenant_id = 'other-1'"],
)
async def test_an_attempt_that_lost_its_run_writes_nothing(shop: Shop, claim: Claim, change: str) -> None:
    with psycopg.connect(shop.database.admin_url) as admin:
        admin.execute(f"UPDATE cgk_jobs.runs SET {change}".encode())
    with psycopg.connect(shop.database.tenant_url) as connection:
        assert not await store_of(shop).record_step_in(connection, claim, ENTRY)
    assert steps(shop) == []


async def test_another_tenants_run(shop: Shop, claim: Claim) -> None:
    with psycopg.connect(shop.database.tenant_url) as connection:
        assert not await store_of(shop).record_step_in(connection, claim._replace(tenant_id="other-1"), ENTRY)
    assert steps(shop) == []


async def test_a_step_that_is_finished_is_not_written_again(shop: Shop, claim: Claim) -> None:
    store = store_of(shop)
    with psycopg.connect(shop.database.tenant_url) as connection:
        assert await store.record_step_in(connection, claim, ENTRY)
    with psycopg.connect(shop.database.tenant_url) as connection:
        assert not await store.record_step_in(connection, claim, ENTRY._replace(result='"again"'))
    assert steps(shop) == [RECORDED]


async def test_who_takes_the_run_away_waits_for_the_commit(shop: Shop, claim: Claim) -> None:
    def take_away() -> None:
        with psycopg.connect(shop.database.worker_url) as worker:
            worker.execute("UPDATE cgk_jobs.runs SET claim = claim + 1, state = 'queued', worker = NULL")

    async with connection_of("asyncpg", shop.database.tenant_url) as opened:
        assert await store_of(shop).record_step_in(opened.connection, claim, ENTRY)
        taking = asyncio.create_task(asyncio.to_thread(take_away))
        await shop.until_somebody_waits()
        # A beat of the worker does not wait.
        assert await store_of(shop).beat(1)
        await opened.commit()
        await taking
    assert steps(shop) == [RECORDED]


async def test_a_step_that_comes_after_the_run_was_taken_away_waits_and_is_refused(shop: Shop, claim: Claim) -> None:
    with psycopg.connect(shop.database.worker_url) as worker:
        worker.execute("UPDATE cgk_jobs.runs SET claim = claim + 1")
        async with connection_of("asyncpg", shop.database.tenant_url) as opened:
            recording = asyncio.create_task(store_of(shop).record_step_in(opened.connection, claim, ENTRY))
            await shop.until_somebody_waits()
            worker.commit()
            assert not await recording
            await opened.commit()
    assert steps(shop) == []


async def test_a_tenants_login_can_do_no_more_than_that(shop: Shop, claim: Claim) -> None:
    """The function is there for everybody with the tenant's role, and asks for the binding itself."""
    call = "SELECT cgk_jobs.record_step(%s, %s, 'forged', '1', 0, false, false, false, NULL)"
    with psycopg.connect(shop.database.tenant_url) as connection:
        assert connection.execute(call, [claim.seq, claim.token]).fetchall() == [(False,)]
        for statement in (
            "SELECT FROM cgk_jobs.runs FOR UPDATE",
            "UPDATE cgk_jobs.runs SET claim = 0",
            "INSERT INTO cgk_jobs.steps (run_seq, place, finished_at, tenant_id, name) VALUES (1, 1, 1, 'acme', 'x')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(statement.encode())
    assert steps(shop) == []
