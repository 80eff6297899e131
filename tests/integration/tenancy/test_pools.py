"""Pools of psycopg and asyncpg whose connections belong to the current tenant."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg_pool import ConnectionPool
from tests.integration.tenancy.pools import LEFT_BEHIND, look, opened
from tests.integration.tenancy.shop import GUARDS, TABLES, TENANTS, Shop, expected, notes
from tests.servers.pgbouncer import PgBouncer

from cgk_jobs import NotConfigured, TenantRequired, platform, tenant
from cgk_jobs.tenancy import TenantRows, TenantSchemas, bind_tenant, tenant_connection

FIRST, SECOND = TENANTS


@pytest.mark.parametrize("kind", GUARDS)
async def test_a_tenant_sees_its_own(pool: Any, shop: Shop, kind: str) -> None:
    guard = shop.guard(kind)
    for name in (FIRST, SECOND, FIRST):
        assert await look(pool, guard, kind, name) == expected(name)


@pytest.mark.parametrize("kind", GUARDS)
async def test_without_a_tenant_no_connection_is_taken(pool: Any, shop: Shop, kind: str) -> None:
    with pytest.raises(TenantRequired, match="tenant_context"):
        async with pool.connection(shop.guard(kind)):
            pytest.fail("a connection without a tenant")


async def test_what_a_tenant_writes_is_its_own(pool: Any, shop: Shop) -> None:
    guard = shop.guard("signed")
    with tenant(FIRST):
        with pytest.raises(ZeroDivisionError):  # noqa: PT012
            async with pool.connection(guard) as connection:
                await pool.run(connection, "INSERT INTO orders_signed VALUES ('acme', 'third') RETURNING note")
                assert len(await pool.run(connection, notes("signed"))) == 3
                raise ZeroDivisionError
        with pytest.raises((psycopg.errors.InsufficientPrivilege, asyncpg.InsufficientPrivilegeError)):
            async with pool.connection(guard) as connection:
                await pool.run(connection, f"INSERT INTO orders_signed VALUES ('{SECOND}', 'planted') RETURNING note")
        async with pool.connection(guard) as connection:
            updated = f"UPDATE orders_signed SET note = 'x' WHERE tenant_id = '{SECOND}' RETURNING note"
            assert await pool.run(connection, updated) == []
    assert await look(pool, guard, "signed", FIRST) == expected(FIRST)
    assert await look(pool, guard, "signed", SECOND) == expected(SECOND)


@pytest.mark.parametrize("kind", ["plain", "signed"])
async def test_across_tenants_an_ordinary_login_sees_no_row(pool: Any, shop: Shop, kind: str) -> None:
    with platform(reason="a test"):
        async with pool.connection(shop.guard(kind)) as connection:
            assert await pool.run(connection, notes(kind)) == []


async def test_across_tenants_schemas_are_named(pool: Any, shop: Shop) -> None:
    with platform(reason="a test"):
        async with pool.connection(TenantSchemas()) as connection:
            assert await pool.run(connection, "SHOW search_path") == ["pg_temp"]
            assert len(await pool.run(connection, 'SELECT note FROM "tenant_other-1".orders')) == 2
        with pytest.raises((psycopg.errors.UndefinedTable, asyncpg.UndefinedTableError)):
            async with pool.connection(TenantSchemas()) as connection:
                await pool.run(connection, notes("schema"))


async def test_a_setting_can_be_changed_by_sql_and_a_signed_binding_cannot(pool: Any, shop: Shop) -> None:
    """Why the plain setting is called the weaker one."""
    stolen = {}
    for kind, setting, value in (
        ("plain", "app.tenant_id", SECOND),
        ("signed", "cgk_jobs.token", SECOND),
        ("signed", "cgk_jobs.token", f"{SECOND}:{'0' * 64}"),
    ):
        with tenant(FIRST):
            async with pool.connection(shop.guard(kind)) as connection:
                await pool.run(connection, f"SELECT set_config('{setting}', '{value}', true)")
                stolen[kind] = await pool.run(connection, notes(kind))
    assert stolen == {"plain": expected(SECOND), "signed": []}


# --- refusals ------------------------------------------------------------------------------------------------------


async def test_a_tenant_without_its_schema_is_refused(pool: Any, shop: Shop) -> None:
    """PostgreSQL would pass over it, and find a table of that name in a shared schema."""
    guard = TenantSchemas(shared=("public",))
    with tenant("nobody"), pytest.raises(NotConfigured, match="create_sql"):
        async with pool.connection(guard):
            pytest.fail("a connection without the tenant's schema")
    with tenant(FIRST):
        async with pool.connection(guard) as connection:
            assert await pool.run(connection, "SHOW search_path") == ['"tenant_acme", "public", pg_temp']


async def test_a_temporary_table_does_not_hide_the_tenants(pool: Any, shop: Shop) -> None:
    with tenant(FIRST):
        async with pool.connection("schema") as connection:
            await pool.run(connection, "CREATE TEMP TABLE orders AS SELECT 'forged' AS note")
            assert await pool.run(connection, notes("schema")) == expected(FIRST)


async def test_a_login_that_row_security_does_not_hold_for_is_refused(shop: Shop) -> None:
    async with opened("psycopg", shop.admin_url) as pool:
        with tenant(FIRST):
            for _ in range(2):
                with pytest.raises(NotConfigured, match="superuser"):
                    async with pool.connection(TenantRows()):
                        pytest.fail("a superuser's connection")
            async with pool.connection(TenantRows(unsafe_role=True)) as connection:
                assert len(await pool.run(connection, "SELECT note FROM orders_plain")) == 4


async def test_a_platform_login_sees_all_only_across_tenants(shop: Shop, admin: psycopg.Connection) -> None:
    database = admin.info.dbname
    role, login = f"{database}_platform", f"{database}_operator"
    admin.execute(f'CREATE ROLE "{role}"; CREATE ROLE "{login}" LOGIN PASSWORD \'x\' IN ROLE "{role}"'.encode())
    try:
        admin.execute(
            f'CREATE TABLE both_ways AS SELECT * FROM orders_plain; GRANT SELECT ON both_ways TO "{login}"'.encode()
        )
        admin.execute(TenantRows().table_sql("both_ways", platform_role=role).encode())
        place = shop.admin_url.rpartition("@")[2]
        async with opened("asyncpg", f"postgresql://{login}:x@{place}") as pool:
            for scope, count in ((tenant(FIRST), 2), (platform(reason="a test"), 4), (tenant(SECOND), 2)):
                with scope:
                    async with pool.connection("row") as connection:
                        assert await pool.run(connection, "SELECT count(*)::int FROM both_ways") == [count]
    finally:
        admin.execute(f'DROP TABLE both_ways; DROP ROLE "{login}"; DROP ROLE "{role}"'.encode())


# --- other ways in -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", GUARDS)
def test_blocking_psycopg(shop: Shop, kind: str) -> None:
    with ConnectionPool(shop.url, min_size=1, max_size=1, open=True) as pool:
        for name in (FIRST, SECOND):
            with tenant(name), tenant_connection(pool, shop.guard(kind)) as connection:
                rows = connection.execute(notes(kind).encode()).fetchall()
                assert [row[0] for row in rows] == expected(name)
                for text in LEFT_BEHIND:
                    connection.execute(text.encode())
        with pytest.raises(TenantRequired), tenant_connection(pool, shop.guard(kind)):
            pytest.fail("a connection without a tenant")
        with pool.connection() as connection:
            left = connection.execute("SELECT count(*) FROM pg_cursors WHERE is_holdable").fetchone()
            assert left == (0,)
            assert not connection.autocommit


@pytest.mark.parametrize("kind", GUARDS)
async def test_connections_of_a_framework_are_bound_in_their_transaction(shop: Shop, kind: str) -> None:
    guard = shop.guard(kind)
    with tenant(FIRST):
        with psycopg.connect(shop.url) as blocking:
            bind_tenant(blocking, guard)
            assert [row[0] for row in blocking.execute(notes(kind).encode())] == expected(FIRST)
            blocking.commit()  # and with the transaction the binding ends
            ended = "SELECT current_setting('search_path'), current_setting('app.tenant_id', true)"
            path, setting = blocking.execute(ended).fetchone() or ("", "")
            assert path == '"$user", public'
            assert not setting
        async with await psycopg.AsyncConnection.connect(shop.url, autocommit=True) as connection:
            with pytest.raises(NotConfigured, match="transaction"):
                await bind_tenant(connection, guard)
            async with connection.transaction():
                await bind_tenant(connection, guard)
                found = await (await connection.execute(notes(kind).encode())).fetchall()
                assert [row[0] for row in found] == expected(FIRST)
        plain = await asyncpg.connect(shop.url)
        try:
            with pytest.raises(NotConfigured, match="transaction"):
                await bind_tenant(plain, guard)
            async with plain.transaction():
                await bind_tenant(plain, guard)
                assert [row[0] for row in await plain.fetch(notes(kind))] == expected(FIRST)
        finally:
            await plain.close()
    with psycopg.connect(shop.url) as blocking, pytest.raises(TenantRequired):
        bind_tenant(blocking, guard)


def test_what_is_no_pool_is_refused() -> None:
    with pytest.raises(NotConfigured, match="psycopg"):
        tenant_connection(object(), "row")  # type: ignore[call-overload]
    with pytest.raises(NotConfigured, match="psycopg"), tenant(FIRST):
        bind_tenant(object(), "row")  # type: ignore[call-overload]
    with pytest.raises(NotConfigured, match="rows"):
        tenant_connection(object(), "rows")  # type: ignore[call-overload]


@pytest.mark.parametrize("kind", GUARDS)
async def test_many_tenants_at_once_on_few_connections(shop: Shop, kind: str) -> None:
    guard = shop.guard(kind)
    pool = await asyncpg.create_pool(shop.url, min_size=1, max_size=3)

    async def one(name: str) -> list[str]:
        with tenant(name):
            async with tenant_connection(pool, guard) as connection:
                await asyncio.sleep(0)
                return [row[0] for row in await connection.fetch(notes(kind))]

    try:
        names = [TENANTS[number % 2] for number in range(60)]
        assert await asyncio.gather(*map(one, names)) == [expected(name) for name in names]
    finally:
        await pool.close()


def test_the_tables_are_guarded_in_these_tests(admin: psycopg.Connection) -> None:
    """The control: somebody who passes the guards by sees everything."""
    for kind in ("plain", "signed"):
        row = admin.execute(f"SELECT count(*) FROM {TABLES[kind]}".encode()).fetchone()
        assert row == (4,)


@pytest.mark.parametrize("kind", GUARDS)
async def test_behind_a_pooler_that_pools_transactions(shop: Shop, pgbouncer: PgBouncer, kind: str) -> None:
    """Two server connections for sixteen of the clients: each transaction may be on another one."""
    guard = shop.guard(kind)
    pool = await asyncpg.create_pool(pgbouncer.address(shop.url), min_size=16, max_size=16)

    async def one(name: str) -> list[str]:
        with tenant(name):
            async with tenant_connection(pool, guard) as connection:
                first = [row[0] for row in await connection.fetch(notes(kind))]
                await asyncio.sleep(0)
                return first if first == [row[0] for row in await connection.fetch(notes(kind))] else ["changed"]

    try:
        names = [TENANTS[number % 2] for number in range(120)]
        assert await asyncio.gather(*map(one, names)) == [expected(name) for name in names]
        for rows in ("plain", "signed"):
            assert await asyncio.gather(*(pool.fetch(notes(rows)) for _ in range(32))) == [[]] * 32
    finally:
        await pool.close()
