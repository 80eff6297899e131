"""Sends on connections of the application: committed with what it writes, or not at all."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import NullPool, create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from tests.integration.postgres.joining.applications import (
    INSERT,
    KINDS,
    NOTHING,
    SOME_KINDS,
    OrderPlaced,
    OrderShipped,
    Shop,
    connection_of,
    order,
    sqlalchemy_address,
)

from cgk_jobs import Context, Jobs, platform
from cgk_jobs.engine.postgres.server import QUERIES
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.signals import Signal

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
SOME = pytest.mark.parametrize("kind", SOME_KINDS)


@EVERY_KIND
async def test_a_commit_stores_both_and_a_worker_runs_it(shop: Shop, kind: str) -> None:
    async with connection_of(kind, shop.database.tenant_url) as opened:
        await opened.execute(INSERT.format("order-1"))
        sent = await shop.jobs.send(order(1), connection=opened.connection, tags=["vip"])
        assert shop.stored() == NOTHING
        await opened.commit()
    stored = {**NOTHING, "run_tags": 1, "orders": 1}
    assert shop.stored() in ({**stored, "runs": 1}, {**stored, "runs": 1, "tenants": 1})
    await shop.ran("order-1")
    assert shop.stored() == {**stored, "finished_runs": 1, "tenants": 1}
    assert (sent.status, len(sent.run_ids)) == ("accepted", 1)
    with platform(reason="look"):
        run = await shop.jobs.runs.get(sent.run_id)
    assert (run.tenant_id, run.state, run.tags) == ("acme", "completed", ("sync", "vip"))


@EVERY_KIND
async def test_a_rollback_leaves_nothing(shop: Shop, kind: str) -> None:
    async with connection_of(kind, shop.database.tenant_url) as opened:
        await opened.execute(INSERT.format("order-1"))
        await shop.jobs.send(order(1), connection=opened.connection, key="k", tags=["vip"])
        await opened.rollback()
    assert shop.stored() == NOTHING


@EVERY_KIND
async def test_a_transaction_is_after_the_send_as_it_was(shop: Shop, kind: str) -> None:
    await shop.jobs.send(order(1))
    async with connection_of(kind, shop.database.tenant_url) as opened:
        before = await opened.row("SELECT coalesce(current_setting('cgk_jobs.token', true), '')")
        await shop.jobs.send(order(2), connection=opened.connection)
        assert await opened.row("SELECT cgk_jobs.bound_tenant()") == (None,)
        assert await opened.row("SELECT coalesce(current_setting('cgk_jobs.token', true), '')") == before == ("",)
        assert await opened.row("SELECT count(*) FROM cgk_jobs.runs") == (0,)
        await opened.commit()
    assert shop.stored()["runs"] == 2


@SOME
async def test_what_a_savepoint_takes_back_is_not_sent(shop: Shop, kind: str) -> None:
    async with connection_of(kind, shop.database.tenant_url) as opened:
        await shop.jobs.send(order(1), connection=opened.connection)
        await opened.execute("SAVEPOINT one")
        await shop.jobs.send(order(2), connection=opened.connection, key="k")
        await opened.execute("ROLLBACK TO one")
        await shop.jobs.send(order(3), connection=opened.connection, key="k")
        await opened.commit()
    await shop.ran("order-1", "order-3")


async def test_an_exception_rolls_both_back(shop: Shop) -> None:
    async def place() -> None:
        with psycopg.connect(shop.database.tenant_url) as connection:
            connection.execute(INSERT.format("order-1").encode())
            await shop.jobs.send(order(1), connection=connection)
            raise RuntimeError("no stock")

    with pytest.raises(RuntimeError, match="no stock"):
        await place()
    assert shop.stored() == NOTHING


async def test_a_nested_block_of_the_driver(shop: Shop) -> None:
    async def nested(connection: psycopg.AsyncConnection[Any]) -> None:
        async with connection.transaction():
            await shop.jobs.send(order(2), connection=connection)
            raise RuntimeError

    async with (
        await psycopg.AsyncConnection.connect(shop.database.tenant_url, autocommit=True) as connection,
        connection.transaction(),
    ):
        await shop.jobs.send(order(1), connection=connection)
        with pytest.raises(RuntimeError):
            await nested(connection)
    await shop.ran("order-1")


@pytest.mark.parametrize("login", ["worker", "administrator", "application"])
async def test_other_logins_that_may_send(shop: Shop, login: str, application_url: str) -> None:
    urls = {
        "worker": shop.database.worker_url,
        "administrator": shop.database.admin_url,
        "application": application_url,
    }
    with psycopg.connect(urls[login]) as connection:
        await shop.jobs.send(order(1), connection=connection)
    await shop.ran("order-1")


async def test_a_task_of_many_listeners_and_an_event_of_none(shop: Shop) -> None:
    heard: list[str] = []
    for number in range(16):

        @shop.jobs.task(on=OrderPlaced, id=f"more-{number:02}")
        async def more(event: OrderPlaced, ctx: Context) -> None:
            heard.append(event.order_id)

    with psycopg.connect(shop.database.tenant_url) as connection:
        sent = await shop.jobs.send(order(1), connection=connection)
        unheard = await shop.jobs.send(OrderShipped(tenant_id="acme", order_id="2"), connection=connection)
    assert (len(set(sent.run_ids)), unheard.run_ids, unheard.status) == (17, (), "accepted")
    assert shop.stored() == {**NOTHING, "runs": 17, "unrouted_events": 1}
    rows = shop.rows("SELECT seq, event_seq, task FROM cgk_jobs.runs ORDER BY task")
    assert [row[0] for row in rows] == list(sent._run_seqs)
    assert {row[1] for row in rows} == {sent._event_seq}
    await shop.ran("order-1")


async def test_what_a_run_is_given_by_the_options_of_its_send(shop: Shop) -> None:
    with psycopg.connect(shop.database.tenant_url) as connection:
        await shop.jobs.send(
            order(1), connection=connection, delay=timedelta(hours=1), priority=7, expires=60, tags=["vip", "vip"]
        )
    assert shop.rows(
        "SELECT state, lane, due_at - created_at > 3500000000, due_at - created_at < 3700000000, expires_at - due_at, tags, vstart, "
        "claim, held_by FROM cgk_jobs.runs"
    ) == [("scheduled", 7, True, True, 60_000_000, "sync,vip,vip", 0.0, 0, None)]
    assert shop.rows("SELECT tag FROM cgk_jobs.run_tags") == [("vip",)]


async def test_several_events_a_name_and_a_task(shop: Shop) -> None:
    with psycopg.connect(shop.database.tenant_url) as connection:
        both = await shop.jobs.send(order(1), order(2), connection=connection)
        await shop.jobs.send("shop.order_placed", {"tenant_id": "acme", "order_id": "order-3"}, connection=connection)
        task: Any = shop.jobs.tasks["sync-order"]
        await task.send(order(4), connection=connection)
        answers = await shop.jobs.send_many([order(5), order(6, "other-1")], connection=connection)
        assert shop.stored() == NOTHING
    assert [sent.status for sent in (*both, *answers)] == ["accepted"] * 4
    assert shop.rows("SELECT tenant_id FROM cgk_jobs.runs WHERE payload LIKE '%order-6%'") == [("other-1",)]
    await shop.ran(*(f"order-{number}" for number in range(1, 7)))


async def test_a_batch_of_several_statements(shop: Shop) -> None:
    with psycopg.connect(shop.database.tenant_url) as connection:
        answers = await shop.jobs.send_many([order(number) for number in range(450)], connection=connection)
    rows = shop.rows("SELECT seq, payload FROM cgk_jobs.runs ORDER BY seq")
    assert [f'"order-{number}"' in row[1] for number, row in enumerate(rows)] == [True] * 450
    assert [sent._run_seqs for sent in answers] == [(row[0],) for row in rows]


async def test_the_planner_takes_the_statement_for_cheap(shop: Shop) -> None:
    """Otherwise it is compiled first, at every send: that takes longer than all the rest."""
    with psycopg.connect(shop.database.admin_url) as admin:
        admin.execute(
            "INSERT INTO cgk_jobs.subscriptions (rank, lane, task, event, queue, tags) "
            "SELECT 0, 0, 'task' || n, 'event' || n, 'default', '' FROM generate_series(1, 2000) n"
        )
        asked = '{"now": null, "events": []}'
        statement = "EXPLAIN (FORMAT JSON) " + QUERIES["send_in_transaction"].replace("$1", f"'{asked}'")
        ((plan,),) = admin.execute(statement.encode()).fetchall()
        ((limit,),) = admin.execute("SELECT current_setting('jit_above_cost')::float").fetchall()
    assert plan[0]["Plan"]["Total Cost"] < limit / 5


async def test_a_listener_hears_that_it_is_not_committed(shop: Shop) -> None:
    heard: list[Signal] = []
    shop.jobs.signals.listen(heard.append)
    with psycopg.connect(shop.database.tenant_url) as connection:
        await shop.jobs.send(order(1), connection=connection)
    await shop.jobs.send(order(2))
    assert [signal.fields["committed"] for signal in heard if signal.name == "event.sent"] == [False, True]


async def test_others_send_while_the_transaction_is_open(shop: Shop) -> None:
    with psycopg.connect(shop.database.tenant_url) as connection:
        await shop.jobs.send(order(1), connection=connection)
        await shop.jobs.send(order(2))
        await shop.ran("order-2")
        assert shop.rows("SELECT value FROM cgk_jobs.tenant_clocks WHERE tenant_id = 'acme'") != []
    shop.done.clear()
    await shop.ran("order-1")


class _Ears:
    def __init__(self) -> None:
        self.heard = asyncio.Event()

    def ready(self) -> bool:
        self.heard.set()
        return True

    def finished(self, seqs: Sequence[int]) -> None:
        """Nothing ends here."""


def ears_of(jobs: Jobs) -> _Ears:
    """Hears when the store of ``jobs`` has made runs ready."""
    assert isinstance(jobs.provider.store, PostgresStore)
    ears = _Ears()
    jobs.provider.store.listen(ears)
    return ears


async def test_a_session_tells_of_its_commit_and_no_worker_has_to_look(shop: Shop) -> None:
    ears = ears_of(shop.jobs)
    engine = create_engine(sqlalchemy_address(shop.database.tenant_url, "psycopg"), poolclass=NullPool)
    with Session(engine) as session:
        for number in (1, 2):
            with session.begin_nested():
                await shop.jobs.send(order(number), connection=session)
            assert not ears.heard.is_set()
            session.commit()
            await ears.heard.wait()
            ears.heard.clear()
            assert shop.rows("SELECT state FROM cgk_jobs.runs") == [("queued",)] * number


async def test_an_async_session_tells_of_its_commit(shop: Shop) -> None:
    ears = ears_of(shop.jobs)
    engine = create_async_engine(sqlalchemy_address(shop.database.tenant_url, "asyncpg"), poolclass=NullPool)
    async with AsyncSession(engine) as session, session.begin():
        await shop.jobs.send(order(1), connection=session)
    await ears.heard.wait()
    assert shop.rows("SELECT state FROM cgk_jobs.runs") == [("queued",)]


CLIENT = """
import sys
import psycopg
from cgk_jobs import Event, Jobs

class OrderPlaced(Event, name="shop.order_placed"):
    order_id: str

connection = psycopg.connect(sys.argv[2])
connection.execute("INSERT INTO shop_orders VALUES ('order-1')")
Jobs(sys.argv[1]).sync.send(OrderPlaced(tenant_id="acme", order_id="order-1"), connection=connection, key="k")
print("sent", flush=True)
sys.stdin.read()
"""


async def test_a_client_that_is_killed_before_its_commit_leaves_nothing(shop: Shop) -> None:
    arguments = [sys.executable, "-c", CLIENT, shop.database.worker_url, shop.database.tenant_url]
    with subprocess.Popen(  # noqa: ASYNC220 - its one line is waited for
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "sent\n"
        client.send_signal(signal.SIGKILL)
    with psycopg.connect(shop.database.admin_url) as admin:
        # Once the server has noticed, nobody holds the table any more.
        admin.execute("LOCK TABLE shop_orders")
    assert shop.stored() == NOTHING
    # Nobody holds the key either.
    with psycopg.connect(shop.database.tenant_url) as connection:
        sent = await shop.jobs.send(order(1), connection=connection, key="k")
    assert sent.status == "accepted"
