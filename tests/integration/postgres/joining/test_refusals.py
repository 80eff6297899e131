"""What a send in a transaction refuses: nothing is written then, and the transaction is as good as before."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine
from tests.integration.postgres.joining.applications import (
    INSERT,
    KINDS,
    NOTHING,
    SOME_KINDS,
    OrderPlaced,
    Shop,
    connection_of,
    order,
)
from tests.servers.ledgers import Ledgers
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import PostgresServer

from cgk_jobs import (
    InvalidEvent,
    InvalidTask,
    NotConfigured,
    ProviderUnavailable,
    TenantMismatch,
    Unsupported,
    platform,
    tenant,
)
from cgk_jobs.engine.postgres.tenant_token import READ_KEY, SignedTenant, TenantTokens
from cgk_jobs.engine.records import NewEvent
from cgk_jobs.tenancy import TenantRows, bind_tenant

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
SOME = pytest.mark.parametrize("kind", SOME_KINDS)


@EVERY_KIND
async def test_autocommit(shop: Shop, kind: str) -> None:
    async with connection_of(kind, shop.database.tenant_url, autocommit=True) as opened:
        with pytest.raises(NotConfigured, match="no transaction open") as refusal:
            await shop.jobs.send(order(1), connection=opened.connection)
    assert "begin one first" in str(refusal.value)
    assert shop.stored() == NOTHING


async def test_autocommit_that_the_driver_hides(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "cgk_jobs.engine.postgres.joining.psycopg_connections._is_idle", lambda connection: False, raising=True
    )
    async with connection_of("psycopg", shop.database.tenant_url, autocommit=True) as opened:
        with pytest.raises(ProviderUnavailable, match="begin a transaction first"):
            await shop.jobs.send(order(1), connection=opened.connection)
    assert shop.stored() == NOTHING


@SOME
@pytest.mark.parametrize("other", ["a ledger", "no ledger"])
async def test_another_database(
    shop: Shop, kind: str, other: str, postgres_ledgers: Ledgers, postgres_server: PostgresServer
) -> None:
    name = postgres_ledgers.fresh().name if other == "a ledger" else postgres_server.empty_database()
    # As the administrator, who may do everything there.
    async with connection_of(kind, postgres_server.address(name)) as opened:
        await opened.execute("CREATE TABLE mine (x integer)")
        with pytest.raises(Unsupported, match="another database than the ledger's"):
            await shop.jobs.send(order(1), connection=opened.connection)
        assert await opened.row("SELECT count(*) FROM mine") == (0,)
        await opened.commit()
    assert shop.stored() == NOTHING
    postgres_server.drop(name)


async def test_the_same_database_of_a_server_started_anew(shop: Shop, postgres_server: PostgresServer) -> None:
    with psycopg.connect(shop.database.tenant_url) as connection:
        await shop.jobs.send(order(1), connection=connection)
    postgres_server.restart()
    shop.jobs.close()  # its connections are dead
    with psycopg.connect(shop.database.tenant_url) as connection:
        await shop.jobs.send(order(2), connection=connection)
    await shop.ran("order-1", "order-2")


@pytest.mark.parametrize("connection", [object(), "default", 7, psycopg], ids=["object", "name", "number", "module"])
async def test_what_is_no_connection(shop: Shop, connection: object) -> None:
    with pytest.raises(Unsupported, match="psycopg 3, asyncpg, SQLAlchemy"):
        await shop.jobs.send(order(1), connection=connection)
    assert shop.stored() == NOTHING


async def test_another_database_system(shop: Shop) -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection, pytest.raises(Unsupported, match="sqlite"):
        await shop.jobs.send(order(1), connection=connection)
    engine.dispose()


@SOME
async def test_a_login_that_may_not_send(shop: Shop, kind: str, stranger_url: str, postgres_ledgers: Ledgers) -> None:
    async with connection_of(kind, stranger_url) as opened:
        await opened.execute(INSERT.format("order-1"))
        with pytest.raises(NotConfigured) as refusal:
            await shop.jobs.send(order(1), connection=opened.connection)
        assert f"GRANT {postgres_ledgers.roles.tenant} TO shop_of_the_tests" in str(refusal.value)
        await opened.commit()
    assert shop.stored() == {**NOTHING, "orders": 1}


async def test_a_transaction_that_only_reads(shop: Shop) -> None:
    with psycopg.connect(shop.database.tenant_url) as connection:
        connection.read_only = True
        with pytest.raises(NotConfigured, match="read-only"):
            await shop.jobs.send(order(1), connection=connection)


async def test_functions_in_place_of_the_servers_own(shop: Shop, postgres_ledgers: Ledgers) -> None:
    with psycopg.connect(shop.database.admin_url) as admin:
        admin.execute("CREATE SCHEMA evil")
        admin.execute("GRANT USAGE ON SCHEMA evil TO PUBLIC")
    with psycopg.connect(shop.database.tenant_url) as connection:
        connection.execute("SET LOCAL search_path = evil, pg_catalog")
        with pytest.raises(NotConfigured, match="take pg_catalog out of search_path"):
            await shop.jobs.send(order(1), connection=connection)
        connection.execute("SET LOCAL search_path = evil")
        await shop.jobs.send(order(1), connection=connection)
    await shop.ran("order-1")


async def test_types_and_tables_of_the_session_are_no_traps(shop: Shop) -> None:
    with psycopg.connect(shop.database.admin_url) as connection:
        connection.execute("CREATE FUNCTION public.trap(x json) RETURNS boolean LANGUAGE sql AS 'SELECT 1 / 0 = 1'")
        for name in ("text", "json", "int8", "bool", "name"):
            connection.execute(f"CREATE TEMP TABLE {name} (x integer)".encode())
        for name in ("runs", "subscriptions", "asked", "pg_class", "pg_database"):
            connection.execute(f"CREATE TEMP VIEW {name} AS SELECT 1 / 0 AS x".encode())
        await shop.jobs.send(order(1), connection=connection, key="k", tags=["vip"])
        await shop.jobs.send(order(1), connection=connection, key="k")
    await shop.ran("order-1")


async def test_another_tenant_than_the_current_one(shop: Shop) -> None:
    with psycopg.connect(shop.database.tenant_url) as connection, tenant("other-1"):
        with pytest.raises(TenantMismatch):
            await shop.jobs.send(order(1), connection=connection)
        with pytest.raises(TenantMismatch):
            await shop.jobs.send_many([order(1)], connection=connection)
    assert shop.stored() == NOTHING


async def test_a_transaction_that_is_bound_to_a_tenant(shop: Shop) -> None:
    inner, outer = shop.rows(READ_KEY)[0]
    guard = TenantRows(SignedTenant(TenantTokens(inner, outer)))
    with psycopg.connect(shop.database.tenant_url) as connection:
        with tenant("acme"):
            bind_tenant(connection, guard)
            await shop.jobs.send(order(1), connection=connection)
        assert connection.execute("SELECT cgk_jobs.bound_tenant(), count(*) FROM cgk_jobs.runs").fetchall() == [
            ("acme", 1)
        ]
        with platform(reason="for another tenant"), pytest.raises(TenantMismatch, match="belongs to another tenant"):
            await shop.jobs.send(order(2, "other-1"), connection=connection)
        assert connection.execute("SELECT cgk_jobs.bound_tenant()").fetchall() == [("acme",)]
    await shop.ran("order-1")


async def test_a_binding_that_sql_has_written(shop: Shop) -> None:
    with psycopg.connect(shop.database.tenant_url) as connection:
        connection.execute("SELECT set_config('cgk_jobs.token', 'other-1:forged', true)")
        await shop.jobs.send(order(1), connection=connection)
        assert connection.execute("SELECT current_setting('cgk_jobs.token'), cgk_jobs.bound_tenant()").fetchall() == [
            ("other-1:forged", None)
        ]
    await shop.ran("order-1")


async def test_a_key_that_was_changed_is_read_again(shop: Shop) -> None:
    with psycopg.connect(shop.database.tenant_url) as connection:
        await shop.jobs.send(order(1), connection=connection)
    with psycopg.connect(shop.database.admin_url) as admin:
        admin.execute("UPDATE cgk_jobs.tenant_key SET inner_key = outer_key")
    with psycopg.connect(shop.database.tenant_url) as connection:
        await shop.jobs.send(order(2), connection=connection)
    await shop.ran("order-1", "order-2")


@pytest.mark.parametrize("options", [{"key": "a\0b"}, {"tags": ["a\ud800"]}, {"priority": 500}, {"dealy": 1}], ids=repr)
async def test_options_the_database_could_not_store(shop: Shop, options: dict[str, Any]) -> None:
    with psycopg.connect(shop.database.tenant_url) as connection:
        with pytest.raises(InvalidEvent):
            await shop.jobs.send(order(1), connection=connection, **options)
        await shop.jobs.send(order(2), connection=connection, key='"\\ä\u2028%s $1', tags=["50%", "é"])
    assert shop.rows("SELECT key FROM cgk_jobs.idempotency_keys") == [('"\\ä\u2028%s $1',)]
    await shop.ran("order-2")


async def test_a_task_nobody_has_declared(shop: Shop) -> None:
    new = NewEvent("acme", "", 1, "{}", "no-such-task", key="k")
    with psycopg.connect(shop.database.tenant_url) as connection:
        with pytest.raises(InvalidTask, match="no-such-task"):
            await shop.jobs.provider.store.insert_in(connection, [new._replace(key=None)])
        assert connection.execute("SELECT cgk_jobs.bound_tenant()").fetchall() == [(None,)]
    assert shop.stored() == NOTHING


async def test_an_event_that_runs_wait_for(shop: Shop) -> None:
    with psycopg.connect(shop.database.admin_url) as admin:
        admin.execute("INSERT INTO cgk_jobs.awaited_events VALUES (1, 'shop.order_placed', 'order_id')")
    with psycopg.connect(shop.database.tenant_url) as connection:
        with pytest.raises(Unsupported, match="runs wait for"):
            await shop.jobs.send(order(1), connection=connection)
        task: Any = shop.jobs.tasks["sync-order"]
        await task.send(order(2), connection=connection)
    await shop.ran("order-2")


async def test_an_error_of_the_database_is_the_drivers(shop: Shop) -> None:
    with psycopg.connect(shop.database.tenant_url) as connection:
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM nothing_of_the_kind")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            await shop.jobs.send(order(1), connection=connection)
    assert shop.stored() == NOTHING


async def test_by_way_of_a_pooler(shop: Shop, pgbouncer: PgBouncer) -> None:
    url = pgbouncer.address(shop.database.tenant_url)
    with psycopg.connect(url) as first, psycopg.connect(url) as second:
        await shop.jobs.send(order(1), connection=first)
        await shop.jobs.send(order(2), connection=second)
        second.rollback()
    await shop.ran("order-1")


async def test_an_event_of_many_characters(shop: Shop) -> None:
    text = "ä'\"\\$1%s{}\u2028\x01" * 1000
    with psycopg.connect(shop.database.tenant_url, client_encoding="latin1") as connection:
        await shop.jobs.send(OrderPlaced(tenant_id="acme", order_id=text), connection=connection)
    await shop.ran(text)
