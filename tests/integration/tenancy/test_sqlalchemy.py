"""SQLAlchemy engines, blocking and async, whose transactions belong to the current tenant."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, Engine, String, create_engine, event, select, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from tests.integration.tenancy.shop import GUARDS, TABLES, TENANTS, Shop, expected, notes
from tests.reliability.processes import until_async

from cgk_jobs import NotConfigured, TenantMismatch, TenantRequired, platform, tenant
from cgk_jobs.tenancy import TenantRows, guard_engine

FIRST, SECOND = TENANTS


def url(shop: Shop, driver: str) -> str:
    return shop.url.replace("postgresql://", f"postgresql+{driver}://")


@pytest.fixture(params=GUARDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(shop: Shop, kind: str) -> Iterator[Engine]:
    engine = guard_engine(create_engine(url(shop, "psycopg"), pool_size=1, max_overflow=0), shop.guard(kind))
    yield engine
    engine.dispose()


def look(engine: Engine, kind: str) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(text(notes(kind))))


def test_a_tenant_sees_its_own(engine: Engine, kind: str) -> None:
    for name in (FIRST, SECOND, FIRST):
        with tenant(name):
            assert look(engine, kind) == expected(name)
            with engine.begin() as connection:
                assert list(connection.scalars(text(notes(kind)))) == expected(name)


def test_without_a_tenant_nothing_runs(engine: Engine, kind: str) -> None:
    with engine.begin() as connection, pytest.raises(TenantRequired):
        connection.execute(text("SELECT 1"))
    with engine.connect() as connection:
        for _ in range(2):
            with pytest.raises(TenantRequired):
                connection.execute(text(notes(kind)))
        with tenant(FIRST):
            assert list(connection.scalars(text(notes(kind)))) == expected(FIRST)


def test_a_transaction_serves_one_tenant(engine: Engine, kind: str) -> None:
    with engine.connect() as connection:
        with tenant(FIRST):
            assert list(connection.scalars(text(notes(kind)))) == expected(FIRST)
        with tenant(SECOND):
            with pytest.raises(TenantMismatch, match=r"'acme'.*'other-1'"):
                connection.execute(text(notes(kind)))
            connection.rollback()
            assert list(connection.scalars(text(notes(kind)))) == expected(SECOND)
            with platform(reason="a test"), pytest.raises(TenantMismatch, match="across tenants"):
                connection.execute(text(notes(kind)))
            connection.commit()
        with pytest.raises(TenantRequired):
            connection.execute(text(notes(kind)))


def test_what_is_written_after_a_refusal_is_committed(engine: Engine, kind: str, shop: Shop) -> None:
    with engine.connect() as connection:
        with pytest.raises(TenantRequired):
            connection.execute(text("SELECT 1"))
        with tenant(FIRST):
            values = {"schema": "(note) VALUES ('new')"}.get(kind, f"(note, tenant_id) VALUES ('new', '{FIRST}')")
            connection.execute(text(f"INSERT INTO {TABLES[kind]} {values}"))
            connection.commit()
            assert look_on(connection, kind) == sorted([*expected(FIRST), "new"])
    with psycopg.connect(shop.admin_url, autocommit=True) as admin:
        table = f"tenant_{FIRST}.orders" if kind == "schema" else TABLES[kind]
        assert admin.execute(f"DELETE FROM {table} WHERE note = 'new'".encode()).rowcount == 1


def look_on(connection: Connection, kind: str) -> list[str]:
    return list(connection.scalars(text(notes(kind))))


def test_savepoints_keep_the_tenant(engine: Engine, kind: str) -> None:
    with tenant(FIRST), engine.begin() as connection:
        with pytest.raises(DBAPIError), connection.begin_nested():
            connection.execute(text("SELECT 1 / 0"))
        assert list(connection.scalars(text(notes(kind)))) == expected(FIRST)


def test_autocommit_is_refused(engine: Engine, kind: str) -> None:
    with tenant(FIRST), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for _ in range(2):
            with pytest.raises(NotConfigured, match="AUTOCOMMIT"):
                connection.execute(text(notes(kind)))


def test_an_engine_with_other_options_is_guarded_as_well(engine: Engine, kind: str) -> None:
    other = engine.execution_options(isolation_level="REPEATABLE READ")
    with tenant(SECOND):
        assert look(other, kind) == expected(SECOND)
    with pytest.raises(TenantRequired):
        look(other, kind)


def test_many_rows_and_the_drivers_own_sql_are_guarded_too(engine: Engine, kind: str) -> None:
    with engine.connect() as connection:
        with tenant(FIRST):
            connection.exec_driver_sql(notes(kind))
        with tenant(SECOND):
            with pytest.raises(TenantMismatch):
                connection.exec_driver_sql(notes(kind))
            with pytest.raises(TenantMismatch):
                connection.execute(text("SELECT :n"), [{"n": 1}, {"n": 2}])


def test_nothing_stays_on_a_connection_of_the_pool(
    engine: Engine, kind: str, shop: Shop, admin: psycopg.Connection
) -> None:
    pids = set()
    for number, name in enumerate([FIRST, SECOND] * 3):
        with tenant(name):
            with engine.begin() as connection:
                connection.execute(text("CREATE TEMP TABLE left_behind AS SELECT 'secret' AS note"))
                connection.execute(text("DECLARE held CURSOR WITH HOLD FOR SELECT 'secret'"))
            if number % 3 == 0:
                with pytest.raises(DBAPIError), engine.begin() as connection:
                    connection.execute(text("SELECT 1 / 0"))
            if number % 3 == 1:
                with pytest.raises(OperationalError, match="timeout"), engine.begin() as connection:  # noqa: PT012
                    connection.execute(text("SET LOCAL statement_timeout = 1"))
                    connection.execute(text("SELECT pg_sleep(30)"))
        with tenant(SECOND if name == FIRST else FIRST), engine.connect() as connection:
            pids.add(connection.scalar(text("SELECT pg_backend_pid()")))
            assert connection.scalar(text("SELECT to_regclass('pg_temp.left_behind')")) is None
            assert connection.scalar(text("SELECT count(*) FROM pg_cursors")) == 0
    assert len(pids) == 1
    # A connection that passes the engine's events by is not bound.
    raw = engine.raw_connection()
    try:
        for rows in ("plain", "signed"):
            assert raw.driver_connection.execute(notes(rows)).fetchall() == []  # type: ignore[union-attr]
    finally:
        raw.close()


def test_a_killed_connection_is_replaced(engine: Engine, kind: str, admin: psycopg.Connection) -> None:
    with tenant(FIRST), pytest.raises(OperationalError), engine.connect() as connection:  # noqa: PT012
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        connection.execute(text(notes(kind)))
    with tenant(SECOND):
        assert look(engine, kind) == expected(SECOND)


def test_two_phases(engine: Engine, kind: str) -> None:
    with engine.connect() as connection:
        with tenant(FIRST), connection.begin_twophase() as transaction:
            assert list(connection.scalars(text(notes(kind)))) == expected(FIRST)
            transaction.rollback()
        with tenant(SECOND), connection.begin_twophase() as transaction:
            assert list(connection.scalars(text(notes(kind)))) == expected(SECOND)
            transaction.rollback()


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders_signed"
    note: Mapped[str] = mapped_column(String, primary_key=True)
    tenant_id: Mapped[str]


def test_sessions(shop: Shop) -> None:
    engine = guard_engine(create_engine(url(shop, "psycopg")), shop.guard("signed"))
    for name in TENANTS:
        with tenant(name), Session(engine) as session:
            assert [order.note for order in session.scalars(select(Order).order_by(Order.note))] == expected(name)
            session.add(Order(note="planted", tenant_id=SECOND if name == FIRST else FIRST))
            with pytest.raises(ProgrammingError, match="row-level security"):
                session.flush()
    with pytest.raises(TenantRequired), Session(engine) as session:
        session.scalars(select(Order)).all()
    engine.dispose()


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_async_engines(shop: Shop, kind: str, driver: str, admin: psycopg.Connection) -> None:
    engine = guard_engine(create_async_engine(url(shop, driver), pool_size=1, max_overflow=0), by=shop.guard(kind))
    try:
        for name in (FIRST, SECOND, FIRST):
            with tenant(name):
                async with engine.begin() as connection:
                    assert list(await connection.scalars(text(notes(kind)))) == expected(name)
                    await connection.execute(text("CREATE TEMP TABLE left_behind AS SELECT 'secret' AS note"))
                async with AsyncSession(engine) as session:
                    assert list(await session.scalars(text(notes(kind)))) == expected(name)
                    assert await session.scalar(text("SELECT to_regclass('pg_temp.left_behind')::text")) is None
        async with engine.begin() as connection:
            with pytest.raises(TenantRequired):
                await connection.scalars(text(notes(kind)))

        begun: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def handler() -> None:
            with tenant(FIRST):
                async with engine.begin() as connection:
                    begun.set_result(await connection.scalar(text("SELECT pg_backend_pid()")))
                    await connection.execute(text("SELECT pg_sleep(30)"))

        running = asyncio.create_task(handler())
        pid = await begun
        sleeping = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
        await until_async(lambda: admin.execute(sleeping, (pid,)).fetchone() == (1,))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        with tenant(SECOND):
            async with engine.connect() as connection:
                assert list(await connection.scalars(text(notes(kind)))) == expected(SECOND)
    finally:
        await engine.dispose()


async def test_async_tasks_of_many_tenants_share_an_engine(shop: Shop, kind: str) -> None:
    engine = guard_engine(create_async_engine(url(shop, "asyncpg"), pool_size=3, max_overflow=0), shop.guard(kind))

    async def one(name: str) -> list[Any]:
        with tenant(name):
            async with AsyncSession(engine) as session:
                return list(await session.scalars(text(notes(kind))))

    try:
        names = [TENANTS[number % 2] for number in range(40)]
        assert await asyncio.gather(*map(one, names)) == [expected(name) for name in names]
    finally:
        await engine.dispose()


def test_engines_of_other_databases_and_second_guards_are_refused(shop: Shop) -> None:
    with pytest.raises(NotConfigured, match="PostgreSQL"):
        guard_engine(create_engine("sqlite://"), "row")
    with pytest.raises(NotConfigured, match="PostgreSQL"):
        guard_engine(object(), "row")  # type: ignore[type-var]
    engine = guard_engine(create_engine(url(shop, "psycopg")), "row")
    with pytest.raises(NotConfigured, match="guarded already"):
        guard_engine(engine, "schema")


def test_settings_an_application_gives_its_connections_are_kept(shop: Shop) -> None:
    engine = guard_engine(create_engine(url(shop, "psycopg"), pool_size=1), TenantRows())

    @event.listens_for(engine, "connect")
    def set_zone(dbapi_connection: Any, _: Any) -> None:
        dbapi_connection.execute("SET TIME ZONE 'Asia/Tokyo'")
        dbapi_connection.commit()

    for name in TENANTS:
        with tenant(name), engine.connect() as connection:
            assert connection.scalar(text("SHOW timezone")) == "Asia/Tokyo"
    engine.dispose()
