"""Settings that change while other processes send and claim: nothing is started against a pause, nothing is left parked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from tests.servers.ledgers import Ledgers
from tests.servers.postgres import LedgerDatabase

from cgk_jobs.clock import Clock, ManualClock, SystemClock
from cgk_jobs.engine.holds import paused_tenant_hold, unknown_task_hold
from cgk_jobs.engine.postgres import tenants
from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Database
from cgk_jobs.engine.postgres.migrate import apply
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.engine.records import Appetite, NewEvent, Subscription, TenantRecord
from cgk_jobs.errors import InvalidEvent, TenantRequired
from cgk_jobs.testing.clock import START

SYNC = Subscription("sync", "placed", "default", 0, 0, None, "")
APPETITE = Appetite(("default",), 100, {"sync": None})
ACME = TenantRecord("acme", added=True)


@pytest.fixture(params=["manual", "system"])
def clock(request: pytest.FixtureRequest) -> Clock:
    return ManualClock(START) if request.param == "manual" else SystemClock()


@pytest.fixture
async def store(postgres_database: LedgerDatabase, clock: Clock) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(postgres_database.worker_url, clock)
    yield store
    store.close()


async def send(store: PostgresStore, tenant_id: str = "acme", count: int = 1) -> None:
    await store.insert([NewEvent(tenant_id, "placed", 1, "{}")] * count)


def hold_all(database: LedgerDatabase, hold: str | None) -> None:
    with psycopg.connect(database.admin_url) as connection:
        connection.execute("UPDATE cgk_jobs.runs SET held_by = %s", (hold,))


def holds(database: LedgerDatabase) -> list[str | None]:
    with psycopg.connect(database.admin_url) as connection:
        return [row[0] for row in connection.execute("SELECT held_by FROM cgk_jobs.runs")]


async def test_a_run_that_slipped_past_a_pause_is_parked_by_the_claim(
    store: PostgresStore, postgres_database: LedgerDatabase
) -> None:
    seat = await store.take_seat(("default",), 100, 15.0)
    await store.subscribe([SYNC])
    await send(store)
    await store.put_tenant(ACME._replace(paused=True))
    hold_all(postgres_database, None)  # as a send leaves it that met the pause
    await send(store, "globex")
    claims = (await store.exchange(seat.id, [], APPETITE)).claims
    assert [claim.tenant_id for claim in claims] == ["globex"]
    assert sorted(map(str, holds(postgres_database))) == ["None", paused_tenant_hold("acme")]
    await store.put_tenant(ACME)
    assert len((await store.exchange(seat.id, [], APPETITE)).claims) == 1
    await seat.leave()


async def test_a_run_parked_for_a_pause_that_is_over_is_freed_by_the_upkeep(
    store: PostgresStore, postgres_database: LedgerDatabase
) -> None:
    seat = await store.take_seat(("default",), 100, 15.0)
    await store.subscribe([SYNC])
    await store.put_tenant(TenantRecord("rested", added=True, paused=True))
    for tenant_id in ("acme", "globex", "rested"):
        await send(store, tenant_id)
    with psycopg.connect(postgres_database.admin_url) as connection:
        connection.execute("UPDATE cgk_jobs.runs SET held_by = 'paused-tenant:' || tenant_id")
    assert (await store.exchange(seat.id, [], APPETITE)).claims == []
    await store.expire()
    claims = (await store.exchange(seat.id, [], APPETITE)).claims
    assert sorted(claim.tenant_id for claim in claims) == ["acme", "globex"]
    await seat.leave()


async def test_thousands_of_runs_are_parked_and_freed(store: PostgresStore, postgres_database: LedgerDatabase) -> None:
    seat = await store.take_seat(("default",), 100, 15.0)
    await store.subscribe([SYNC])
    await send(store, "acme", 2_500)
    await store.put_tenant(ACME._replace(paused=True))
    assert set(holds(postgres_database)) == {paused_tenant_hold("acme")}
    await send(store, "globex", 300)
    for _ in range(3):
        await store.exchange(seat.id, [], APPETITE)
    await send(store, "globex", 100)
    await store.put_tenant(ACME)
    assert set(holds(postgres_database)) == {None}
    # A backlog that was let go takes turns with others: it got new places. With those from before the pause it would be
    # ahead of them by all that was claimed meanwhile.
    claims = (await store.exchange(seat.id, [], APPETITE)).claims
    assert 45 <= sum(claim.tenant_id == "globex" for claim in claims) <= 55
    await seat.leave()


async def test_a_new_declaration_frees_what_waited_for_it(
    store: PostgresStore, postgres_database: LedgerDatabase, clock: Clock
) -> None:
    seat = await store.take_seat(("default",), 100, 15.0)
    await store.subscribe([SYNC])
    await send(store, count=3)
    hold_all(postgres_database, unknown_task_hold("sync"))
    newer = PostgresStore(postgres_database.worker_url, clock)
    await newer.subscribe([SYNC])
    assert holds(postgres_database) == [None] * 3
    assert len((await store.exchange(seat.id, [], APPETITE)).claims) == 3
    newer.close()
    await seat.leave()


async def test_declaring_the_same_again_changes_nothing(
    store: PostgresStore, postgres_database: LedgerDatabase
) -> None:
    database = Database(postgres_database.worker_url, SystemClock())
    await store.subscribe([SYNC])
    version = await database.value("settings_version")
    await store.subscribe([SYNC])
    assert await database.value("settings_version") == version
    await store.subscribe([SYNC._replace(lane=1)])
    assert await database.value("settings_version") == version + 1
    database.close()


async def test_processes_that_declare_at_once_do_not_stand_in_each_others_way(
    postgres_database: LedgerDatabase, clock: Clock
) -> None:
    stores = [PostgresStore(postgres_database.worker_url, clock) for _ in range(6)]
    rows = [SYNC._replace(task=f"task{number}") for number in range(20)]
    await asyncio.gather(
        *[store.subscribe(rows[shift:] + rows[:shift]) for shift, store in enumerate(stores)],
        *[store.put_tenant(ACME._replace(paused=bool(shift % 2))) for shift, store in enumerate(stores)],
    )
    assert sorted(row.task for row in await stores[0].reads.subscriptions()) == sorted(row.task for row in rows)
    for store in stores:
        store.close()


async def test_what_is_no_tenant_is_not_registered(postgres_database: LedgerDatabase, clock: Clock) -> None:
    database = Database(postgres_database.worker_url, clock)
    configuration = Configuration(database)
    for tenant_id, kind in (("", TenantRequired), ("Not one", InvalidEvent)):
        with pytest.raises(kind):
            await configuration.see(["fine", tenant_id])
    await configuration.refresh(database)
    assert configuration.seen == set()
    await configuration.see(["fine", "platform"])
    other = Configuration(database)
    await other.refresh(database)
    assert other.seen == {"fine", "platform"}
    database.close()


async def test_settings_in_memory_are_replaced_whole(postgres_database: LedgerDatabase, clock: Clock) -> None:
    database = Database(postgres_database.worker_url, clock)
    store = PostgresStore(postgres_database.worker_url, clock)
    configuration = Configuration(database)
    await store.subscribe(
        [SYNC, SYNC._replace(task="urgent", rank=-1, queue="fast"), SYNC._replace(task="alone", event="")]
    )
    for record in (
        ACME._replace(weight=2.0), TenantRecord("slow", added=True, rate=1, rate_seconds=1.0),
        TenantRecord("off", added=True, paused=True), TenantRecord("plain", added=True),
    ):  # fmt: skip
        await store.put_tenant(record)
    await store.pause("queue", "default")
    await store.pause("schedule", "nightly")
    await configuration.refresh(database)
    assert [row.task for row in configuration.listeners["placed"]] == ["sync", "urgent"]
    assert "" not in configuration.listeners
    assert set(configuration.tasks) == {"sync", "urgent", "alone"}
    assert configuration.urgent_queues == {"fast"}
    assert configuration.weights == {"acme": 2.0}
    assert sorted(configuration.limited_tenants) == ["off", "slow"]
    assert configuration.paused_queues == {"default"}
    assert (configuration.hold_of("off"), configuration.hold_of("plain")) == (paused_tenant_hold("off"), None)
    assert await tenants.free_resumed(database, store._placing, configuration) == 0
    store.close()
    database.close()


async def test_reasons_are_found_whatever_language_the_database_sorts_in(
    postgres_ledgers: Ledgers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBS_ALLOW_UNSAFE_ROLE", "1")
    server = postgres_ledgers.server
    name = server.empty_database()
    server.drop(name)
    try:
        server.execute(
            "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'", name
        )
    except psycopg.Error as error:
        pytest.skip(f"this server knows no language's order: {error}")
    await apply(server.address(name), roles=postgres_ledgers.roles)
    reasons = [
        paused_tenant_hold("a-b"),
        paused_tenant_hold("zz"),
        unknown_task_hold("sync"),
        unknown_task_hold("Über"),
    ]
    with psycopg.connect(server.address(name)) as connection:
        order = connection.execute("SELECT ':' < ';'").fetchone()
        assert order == (False,), "in this language the semicolon comes first"
        for seq, hold in enumerate(reasons):
            connection.execute(
                "INSERT INTO cgk_jobs.runs (seq, nonce, event_seq, created_at, event_version, tenant_id, task, queue, state,"
                " event_name, payload, held_by) VALUES (%s, 1, 1, 1, 1, 'a', 't', 'q', 'queued', 'e', '{}', %s)",
                (seq, hold),
            )
    database = Database(server.address(name), SystemClock())
    assert [row[0] for row in await database.rows("held_tenants", paused_tenant_hold(""))] == reasons[:2]
    assert [row[0] for row in await database.rows("held_unknown_tasks")] == reasons[2:]
    database.close()
    server.drop(name)
