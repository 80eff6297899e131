"""S35: one connection, handed from tenant to tenant after an error, a timeout, a cancelled query, a killed client."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import asyncpg
import psycopg
import pytest
from tests.integration.tenancy.pools import LEFT_BEHIND
from tests.integration.tenancy.shop import GUARDS, TENANTS, Shop, expected, notes
from tests.reliability.processes import until_async

from cgk_jobs import tenant

FIRST, SECOND = TENANTS

ROUNDS = int(os.environ.get("JOBS_TEST_ROUNDS", "6"))
"""How often each mishap is tried on each pool; 1000 is the pass mark of S35."""


async def raises(pool: Any, guard: Any, kind: str, admin: Any) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        async with pool.connection(guard) as connection:
            await pool.run(connection, notes(kind))
            raise ZeroDivisionError


async def breaks_the_transaction(pool: Any, guard: Any, kind: str, admin: Any) -> None:
    with pytest.raises((psycopg.Error, asyncpg.PostgresError)):
        async with pool.connection(guard) as connection:
            await pool.run(connection, "SELECT 1 / 0")


async def times_out(pool: Any, guard: Any, kind: str, admin: Any) -> None:
    with pytest.raises((psycopg.errors.QueryCanceled, asyncpg.QueryCanceledError)):  # noqa: PT012
        async with pool.connection(guard) as connection:
            await pool.run(connection, "SET LOCAL statement_timeout = 1")
            await pool.run(connection, "SELECT pg_sleep(30)")


async def is_cancelled(pool: Any, guard: Any, kind: str, admin: Any) -> None:
    taken: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def handler() -> None:
        async with pool.connection(guard) as connection:
            (pid,) = await pool.run(connection, "SELECT pg_backend_pid()")
            taken.set_result(pid)
            await pool.run(connection, "SELECT pg_sleep(30)")

    running = asyncio.create_task(handler())
    pid = await taken
    await until_async(lambda: waits_in_sleep(admin, pid))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def is_killed(pool: Any, guard: Any, kind: str, admin: Any) -> None:
    with pytest.raises((psycopg.OperationalError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):  # noqa: PT012
        async with pool.connection(guard) as connection:
            (pid,) = await pool.run(connection, "SELECT pg_backend_pid()")
            await pool.run(connection, notes(kind))
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
            await pool.run(connection, notes(kind))


async def leaves_things_behind(pool: Any, guard: Any, kind: str, admin: Any) -> None:
    async with pool.connection(guard) as connection:
        for text in LEFT_BEHIND:
            await pool.run(connection, text)


def waits_in_sleep(admin: Any, pid: int) -> bool:
    row = admin.execute("SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone()
    return bool(row and row[0])


MISHAPS = [raises, breaks_the_transaction, times_out, is_cancelled, is_killed, leaves_things_behind]


@pytest.mark.parametrize("mishap", MISHAPS)
@pytest.mark.parametrize("kind", GUARDS)
@pytest.mark.timeout(600)
async def test_s35_a_used_connection_carries_nothing_to_the_next_tenant(
    pool: Any, shop: Shop, admin: psycopg.Connection, kind: str, mishap: Any
) -> None:
    guard = shop.guard(kind)
    pids = set()
    for number in range(ROUNDS):
        before, after = (FIRST, SECOND) if number % 2 else (SECOND, FIRST)
        with tenant(before):
            await mishap(pool, guard, kind, admin)
        with tenant(after):
            async with pool.connection(guard) as connection:
                assert await pool.run(connection, notes(kind)) == expected(after)
                assert await pool.run(connection, "SELECT to_regclass('pg_temp.left_behind') IS NULL") == [True]
                assert await pool.run(connection, "SELECT count(*)::int FROM pg_cursors WHERE name = 'held'") == [0]
                traps = "SELECT count(*)::int FROM pg_prepared_statements WHERE name = 'trap'"
                assert await pool.run(connection, traps) == [0]
                pids |= set(await pool.run(connection, "SELECT pg_backend_pid()"))
        # And without any guard: the setting is empty, no row is seen, the path is the login's own.
        async with pool.unguarded() as connection:
            assert await pool.run(connection, "SHOW search_path") == ['"$user", public']
            for rows in ("plain", "signed"):
                assert await pool.run(connection, notes(rows)) == []
            assert await pool.run(connection, "SELECT pg_advisory_unlock(4711)") == [False]
    if mishap in (raises, breaks_the_transaction, times_out, leaves_things_behind):
        assert len(pids) == 1, "another connection each time proves nothing"


async def test_a_connection_that_can_not_be_cleaned_is_given_up(
    shop: Shop, admin: psycopg.Connection, pool: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from cgk_jobs.tenancy.guards import asyncpg_connections, psycopg_connections

    monkeypatch.setattr(psycopg_connections, "_CLEAN", b"SELECT 1 / 0")
    monkeypatch.setattr(asyncpg_connections, "CLEAN_CONNECTION", "SELECT 1 / 0")
    pids = []
    for name in TENANTS:
        with tenant(name):
            async with pool.connection(shop.guard("plain")) as connection:
                pids += await pool.run(connection, "SELECT pg_backend_pid()")
    assert pids[0] != pids[1]
    assert "was closed" in caplog.text
