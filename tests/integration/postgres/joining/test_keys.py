"""Idempotency keys of sends in transactions: the same as of other sends, and waited for until the other transaction ends."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from tests.integration.postgres.joining.applications import (
    NOTHING,
    OrderPlaced,
    OrderShipped,
    Shop,
    connection_of,
    order,
)

from cgk_jobs import DuplicateKey, Send

AWAITED = pytest.mark.parametrize("kind", ["psycopg-async", "asyncpg", "sqlalchemy-async-session-asyncpg"])


@AWAITED
async def test_a_second_sender_waits_for_the_first_and_gets_its_ids(shop: Shop, kind: str) -> None:
    url = shop.database.tenant_url
    async with connection_of(kind, url) as first, connection_of(kind, url) as second:
        sent = await shop.jobs.send(order(1), connection=first.connection, key="k")
        other = asyncio.create_task(shop.jobs.send(order(1), connection=second.connection, key="k"))
        await shop.until_somebody_waits()
        assert not other.done()
        await first.commit()
        again = await other
        await second.commit()
    assert (again.status, again.event_id, again.run_ids) == ("duplicate", sent.event_id, sent.run_ids)
    assert shop.stored()["runs"] == 1


@AWAITED
async def test_after_a_rollback_of_the_first_the_second_has_the_key(shop: Shop, kind: str) -> None:
    url = shop.database.tenant_url
    async with connection_of(kind, url) as first, connection_of(kind, url) as second:
        await shop.jobs.send(order(1), connection=first.connection, key="k")
        other = asyncio.create_task(shop.jobs.send(order(1), connection=second.connection, key="k"))
        await shop.until_somebody_waits()
        await first.rollback()
        assert (await other).status == "accepted"
        await second.commit()
    await shop.ran("order-1")


async def test_a_send_without_connection_waits_too(shop: Shop) -> None:
    async with connection_of("asyncpg", shop.database.tenant_url) as opened:
        sent = await shop.jobs.send(order(1), connection=opened.connection, key="k")
        other = asyncio.create_task(shop.jobs.send(order(1), key="k"))
        await shop.until_somebody_waits()
        await opened.commit()
        assert ((await other).status, (await other).run_ids) == ("duplicate", sent.run_ids)


async def test_a_key_that_is_known_and_one_used_twice_in_a_transaction(shop: Shop) -> None:
    first = await shop.jobs.send(order(1), key="k")
    async with connection_of("psycopg", shop.database.tenant_url) as opened:
        known = await shop.jobs.send(order(1), connection=opened.connection, key="k")
        new = await shop.jobs.send(order(2), connection=opened.connection, key="l")
        same = await shop.jobs.send(order(2), connection=opened.connection, key="l")
        await opened.commit()
    assert (known.status, known.event_id, known.run_ids) == ("duplicate", first.event_id, first.run_ids)
    assert (new.status, same.status, same.run_ids) == ("accepted", "duplicate", new.run_ids)
    assert shop.stored()["runs"] == 2


async def test_keys_are_by_tenant_and_event(shop: Shop) -> None:
    async with connection_of("psycopg", shop.database.tenant_url) as opened:
        for event in (order(1), order(1, "other-1"), OrderShipped(tenant_id="acme", order_id="order-1")):
            assert (await shop.jobs.send(event, connection=opened.connection, key="k")).status == "accepted"
        await opened.commit()
    assert shop.stored() == {**NOTHING, "runs": 2, "unrouted_events": 1, "idempotency_keys": 3}


@pytest.mark.parametrize("kind", ["psycopg", "asyncpg"])
async def test_one_key_for_two_payloads_is_refused_and_the_transaction_goes_on(shop: Shop, kind: str) -> None:
    await shop.jobs.send(order(1), key="k")
    async with connection_of(kind, shop.database.tenant_url) as opened:
        with pytest.raises(DuplicateKey, match="choose another key"):
            await shop.jobs.send(order(2), connection=opened.connection, key="k")
        assert await opened.row("SELECT cgk_jobs.bound_tenant()") == (None,)
        await shop.jobs.send(order(3), connection=opened.connection, key="l")
        await opened.commit()
    await shop.ran("order-1", "order-3")


async def test_a_key_whose_time_is_over_is_free(shop: Shop) -> None:
    await shop.jobs.send(order(1), key="k")
    with psycopg.connect(shop.database.admin_url) as admin:
        admin.execute("UPDATE cgk_jobs.idempotency_keys SET expires_at = 1")
    async with connection_of("psycopg", shop.database.tenant_url) as opened:
        sent = await shop.jobs.send(order(2), connection=opened.connection, key="k")
        await opened.commit()
    assert sent.status == "accepted"
    assert shop.rows("SELECT event_seq, expires_at > 1 FROM cgk_jobs.idempotency_keys") == [(sent._event_seq, True)]
    assert (await shop.jobs.send(order(2), key="k")).run_ids == sent.run_ids


async def test_a_batch_says_of_each_what_became_of_it(shop: Shop) -> None:
    first = await shop.jobs.send(order(1), key="known")
    items: list[OrderPlaced | Send] = [
        Send(order(1), key="known"),
        Send(order(9), key="known"),
        Send(order(2), key="new"),
        Send(order(2), key="new"),
        Send(order(9), key="new"),
        Send(order(3), delay=-1),
        order(4),
    ]
    async with connection_of("psycopg", shop.database.tenant_url) as opened:
        answers = await shop.jobs.send_many(items, connection=opened.connection)
        await opened.commit()
    assert [sent.status for sent in answers] == [
        "duplicate", "refused", "accepted", "duplicate", "refused", "refused", "accepted",
    ]  # fmt: skip
    assert answers[0].run_ids == first.run_ids
    assert answers[3].run_ids == answers[2].run_ids
    assert "another payload" in (answers[1].error or "")
    await shop.ran("order-1", "order-2", "order-4")


async def test_a_transaction_with_an_older_view_fails_as_the_driver_says(shop: Shop) -> None:
    with psycopg.connect(shop.database.tenant_url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT 1")
        await shop.jobs.send(order(1), key="k")
        with pytest.raises(psycopg.errors.SerializationFailure):
            await shop.jobs.send(order(1), connection=connection, key="k")
        connection.rollback()
        # Done again it sees the other send.
        assert (await shop.jobs.send(order(1), connection=connection, key="k")).status == "duplicate"
