"""Days of finished runs: dropped whole, and no run is ever there without its journal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql
from tests.servers.postgres import LedgerDatabase

from cgk_jobs.clock import SystemClock, to_micros
from cgk_jobs.engine.postgres.database import Database
from cgk_jobs.engine.postgres.partitions import DAY, Days
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.engine.reads import RunFilter
from cgk_jobs.engine.records import Appetite, LogLine, NewEvent, RunKey, RunRecord, Settlement, Subscription

MAY = to_micros(datetime(2024, 5, 1, tzinfo=UTC))
"""A day long over: none of the days made ahead."""
APPETITE = Appetite(("default",), 100, {"sync": None})


@pytest.fixture
async def store(postgres_database: LedgerDatabase) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(postgres_database.worker_url, SystemClock())
    yield store
    store.close()


def execute(database: LedgerDatabase, statement: Any, *values: Any) -> list[Any]:
    with psycopg.connect(database.admin_url) as connection:
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def make_day(database: LedgerDatabase, day: int) -> str:
    """A day of the past, as it is made while it lies ahead."""
    name = f"finished_runs_{datetime.fromtimestamp(day / 1e6, UTC):%Y%m%d}"
    execute(
        database,
        sql.SQL(
            "CREATE TABLE cgk_jobs.{} PARTITION OF cgk_jobs.finished_runs FOR VALUES FROM ({}) TO ({});"
            "ALTER TABLE cgk_jobs.{} OWNER TO cgk_jobs_owner"
        ).format(sql.Identifier(name), sql.Literal(day), sql.Literal(day + DAY), sql.Identifier(name)),
    )
    return name


async def failed_runs(
    store: PostgresStore, database: LedgerDatabase, moment: int, steps: list[bool]
) -> list[RunRecord]:
    """Failed runs, with or without rows in other tables, that ended at ``moment``."""
    await store.subscribe([Subscription("sync", "placed", "default", 0, 0, None, "")])
    seat = await store.take_seat(("default",), 100, 15.0)
    await store.insert([NewEvent("acme", "placed", 1, "{}", tags="vip" if full else "") for full in steps])
    claims = sorted((await store.exchange(seat.id, [], APPETITE)).claims)
    for claim, full in zip(claims, steps, strict=True):
        if full:
            await store.record_step(claim, "paid", "1")
        log = (LogLine(1, "INFO", "x"),) if full else ()
        outcome = "failed" if full else ""
        await store.exchange(seat.id, [Settlement(claim, "failed", 1, outcome=outcome, log=log)], None)
    await seat.leave()
    keys = [claim.seq for claim in claims]
    execute(database, "UPDATE cgk_jobs.finished_runs SET finished_at = %s WHERE seq = ANY (%s)", moment, keys)
    found = [await store.reads.run("acme", claim.seq, claim.nonce) for claim in claims]
    return [run for run in found if run is not None]


def tables(database: LedgerDatabase) -> set[str]:
    rows = execute(
        database, "SELECT relname FROM pg_class WHERE relname ~ '^finished_runs_[0-9]{8}$' AND relkind = 'r'"
    )
    return {row[0] for row in rows}


async def test_a_day_is_dropped_when_all_of_it_is_old(store: PostgresStore, postgres_database: LedgerDatabase) -> None:
    day = make_day(postgres_database, MAY)
    runs = await failed_runs(store, postgres_database, MAY + 5, [True, False, True])
    assert len(runs) == 3
    assert await store.prune(MAY + DAY - 1, 100) == 0, "not all of the day is old"
    assert (await store.reads.count(RunFilter("acme")))["failed"] == 3
    assert await store.prune(MAY + DAY, 100) == 3
    assert day not in tables(postgres_database)
    assert await store.reads.count(RunFilter(None)) == {}
    for table in ("steps", "attempts", "run_logs", "run_tags"):
        assert execute(postgres_database, sql.SQL("SELECT * FROM cgk_jobs.{}").format(sql.Identifier(table))) == []


async def test_a_day_goes_in_parts_and_no_run_is_there_without_its_journal(
    store: PostgresStore, postgres_database: LedgerDatabase
) -> None:
    day = make_day(postgres_database, MAY)
    runs = await failed_runs(store, postgres_database, MAY + 5, [True, False, True, False, True])
    seen: list[int] = []
    while True:
        pruned = await store.prune(MAY + DAY, 2)
        seen.append(pruned)
        left = await store.reads.runs(RunFilter("acme"), before=None, count=10)
        assert all(
            [bool(await store.reads.steps(run.key)) == (run.seq in {one.seq for one in runs[::2]}) for run in left]
        )
        if pruned < 2:
            break
    assert seen == [2, 2, 1]
    assert day not in tables(postgres_database)


async def test_a_run_started_again_while_its_day_is_pruned_keeps_its_journal(
    store: PostgresStore, postgres_database: LedgerDatabase
) -> None:
    make_day(postgres_database, MAY)
    runs = await failed_runs(store, postgres_database, MAY + 5, [True, True, False])
    assert await store.prune(MAY + DAY, 1) == 1
    assert not await store.retry(runs[0].key, "default", 0), "it is gone"
    assert await store.retry(runs[1].key, "default", 0)
    assert await store.prune(MAY + DAY, 10) < 10
    again = await store.reads.run("acme", runs[1].seq, runs[1].nonce)
    assert again is not None
    assert (again.state, again.attempt) == ("queued", 1)
    assert [step.name for step in await store.reads.steps(again.key)] == ["paid"]


async def test_what_found_no_day_goes_one_by_one(store: PostgresStore, postgres_database: LedgerDatabase) -> None:
    await failed_runs(store, postgres_database, MAY + 5, [True, False, True])
    make_day(postgres_database, MAY + DAY)
    assert await store.prune(MAY + 5, 100) == 0
    assert [await store.prune(MAY + 6, 2), await store.prune(MAY + 6, 2)] == [2, 1]
    assert len(tables(postgres_database) & {"finished_runs_20240502"}) == 1
    assert execute(postgres_database, "SELECT * FROM cgk_jobs.steps") == []


async def test_days_are_there_before_the_first_run_ends(
    store: PostgresStore, postgres_database: LedgerDatabase
) -> None:
    execute(postgres_database, "SELECT cgk_jobs.drop_days(%s)", to_micros(datetime.now(UTC) + timedelta(days=30)))
    assert tables(postgres_database) == set()
    seat = await store.take_seat(("default",), 5, 15.0)
    assert len(tables(postgres_database)) == 4
    await store.subscribe([Subscription("sync", "placed", "default", 0, 0, None, "")])
    await store.insert([NewEvent("acme", "placed", 1, "{}")])
    (claim,) = (await store.exchange(seat.id, [], APPETITE)).claims
    await store.exchange(seat.id, [Settlement(claim, "completed", 1)], None)
    (row,) = execute(postgres_database, "SELECT tableoid::regclass::text FROM cgk_jobs.finished_runs")
    assert row[0].removeprefix("cgk_jobs.") in tables(postgres_database)
    await seat.leave()


async def test_a_day_that_can_not_be_made_stops_no_worker(
    store: PostgresStore, postgres_database: LedgerDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    execute(postgres_database, "DROP FUNCTION cgk_jobs.make_days(integer)")
    execute(
        postgres_database,
        "CREATE FUNCTION cgk_jobs.make_days(days integer) RETURNS integer LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the disk is full' USING ERRCODE = 'disk_full'; END $$;"
        "GRANT EXECUTE ON FUNCTION cgk_jobs.make_days(integer) TO PUBLIC",
    )
    database = Database(postgres_database.worker_url, SystemClock())
    await Days(database).make()
    assert "the disk is full" in caplog.text
    database.close()


async def test_old_ticks_keys_and_unheard_events_are_forgotten(
    store: PostgresStore, postgres_database: LedgerDatabase
) -> None:
    now = SystemClock().micros()
    await store.subscribe([Subscription("sync", "placed", "default", 0, 0, None, "")])
    await store.insert([NewEvent("acme", "unheard", 1, "{}")])
    await store.insert(
        [
            NewEvent("acme", "tick", 1, "{}", "sync", tick_at=now - 5 * DAY),
            NewEvent("acme", "tick", 1, "{}", "sync", tick_at=now),
        ]
    )
    for key, until in (("old", now - 1), ("young", now + DAY)):
        await store.insert([NewEvent("acme", "placed", 1, "{}", key=key, key_until=until)])
    await store.prune(now + DAY - 2 * DAY, 100)
    assert execute(postgres_database, "SELECT tick_at FROM cgk_jobs.ticks") == [(now,)]
    assert execute(postgres_database, "SELECT key FROM cgk_jobs.idempotency_keys") == [("young",)]
    assert len(execute(postgres_database, "SELECT * FROM cgk_jobs.unrouted_events")) == 1
    later = PostgresStore(postgres_database.worker_url, SystemClock())
    await later.prune(now + DAY, 100)
    assert execute(postgres_database, "SELECT * FROM cgk_jobs.unrouted_events") == []
    later.close()


async def test_an_expired_runs_slot_goes_to_the_next(store: PostgresStore, postgres_database: LedgerDatabase) -> None:
    await store.subscribe([Subscription("sync", "placed", "default", 0, 0, None, "")])
    (stored,) = await store.insert([NewEvent("acme", "placed", 1, "{}", expires=1000.0)])
    execute(postgres_database, "UPDATE cgk_jobs.runs SET expires_at = 1")
    assert await store.expire() == 1
    run = await store.reads.run("acme", stored.run_seqs[0], stored.nonce)
    assert run is not None
    assert run.state == "expired"
    assert await store.retry(RunKey("acme", run.seq), "default", 0)
