"""Reading runs from two tables as if they were one, by keys however many there are."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import psycopg
import pytest
from tests.servers.postgres import LedgerDatabase

from cgk_jobs.engine.postgres.database import QUERIES
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.engine.reads import RunFilter
from cgk_jobs.engine.records import Appetite, NewEvent, RunRecord, Settlement, Subscription
from cgk_jobs.testing.clock import TestClock

APPETITE = Appetite(("default",), 8, {"sync": None})
SYNC = Subscription("sync", "placed", "default", 0, 0, None, "")


@pytest.fixture
async def store(postgres_database: LedgerDatabase) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(postgres_database.worker_url, TestClock())
    await store.subscribe([SYNC])
    yield store
    store.close()


async def mixed(store: PostgresStore) -> list[RunRecord]:
    """Runs of three tenants, one of them the installation itself; some have ended, some run, some wait. Newest first."""
    seat = await store.take_seat(("default",), 100, 15.0)
    stored = []
    for number, tenant_id in zip(range(24), itertools.cycle(("acme", "platform", "globex"))):
        stored += await store.insert([NewEvent(tenant_id, "placed", 1, str(number), tags="odd" if number % 2 else "")])
    claims = (await store.exchange(seat.id, [], APPETITE)).claims
    done = [Settlement(claim, "completed", 1, result="1") for claim in claims]
    await store.exchange(seat.id, done, APPETITE)
    found = [await store.reads.run(None, one.run_seqs[0], one.nonce) for one in stored]
    assert {run.state for run in found if run is not None} == {"completed", "running", "queued"}
    return [run for run in found[::-1] if run is not None]


async def pages(store: PostgresStore, which: RunFilter, count: int) -> list[RunRecord]:
    found: list[RunRecord] = []
    before: int | None = None
    while page := await store.reads.runs(which, before=before, count=count):
        assert len(page) <= count
        found += page
        before = page[-1].seq
    return found


async def test_pages_run_through_both_tables(store: PostgresStore) -> None:
    runs = await mixed(store)
    assert len(runs) == 24
    for count in (1, 5, 24, 100):
        assert await pages(store, RunFilter(None), count) == runs
        assert await pages(store, RunFilter("globex"), count) == [run for run in runs if run.tenant_id == "globex"]


@pytest.mark.parametrize("tenant_id", [None, "platform"])
async def test_filters_hold_in_both_tables(store: PostgresStore, tenant_id: str | None) -> None:
    runs = [run for run in await mixed(store) if tenant_id in (None, run.tenant_id)]
    since = runs[7].created_at if tenant_id is None else runs[3].created_at
    for which, expected in (
        (RunFilter(tenant_id, state="completed"), [run for run in runs if run.state == "completed"]),
        (RunFilter(tenant_id, state="running"), [run for run in runs if run.state == "running"]),
        (RunFilter(tenant_id, tag="odd"), [run for run in runs if run.tags == "odd"]),
        (RunFilter(tenant_id, task="sync", event="placed", queue="default"), runs),
        (RunFilter(tenant_id, queue="slow"), []),
        (RunFilter(tenant_id, since=since), [run for run in runs if run.created_at >= since]),
        (RunFilter(tenant_id, tag="odd", state="queued"), [r for r in runs if (r.tags, r.state) == ("odd", "queued")]),
    ):
        assert await pages(store, which, 3) == expected
        assert sum((await store.reads.count(which)).values()) == len(expected)
    # A task that tags each of its runs counts too, beside the runs sent with the tag.
    await store.subscribe([SYNC._replace(tags="a,odd,b")])
    assert await pages(store, RunFilter(tenant_id, tag="odd"), 3) == runs
    assert await pages(store, RunFilter(tenant_id, tag="a,odd"), 3) == []


async def test_a_page_is_read_by_keys_however_long_the_history(
    store: PostgresStore, postgres_database: LedgerDatabase
) -> None:
    with psycopg.connect(postgres_database.admin_url) as connection:
        connection.execute(
            "INSERT INTO cgk_jobs.finished_runs SELECT n, 1, n, 1, NULL, NULL, NULL, n, n, n, 1, 1, 0, 0, 't' || n % 50, 'sync',"
            " 'default', 'completed', 'placed', '{}', CASE WHEN n < 100 THEN 'rare' ELSE '' END, NULL, NULL, NULL"
            " FROM generate_series(1, 20000) n"
        )
        connection.execute(
            "INSERT INTO cgk_jobs.run_tags SELECT n, 't' || n % 50, 'rare' FROM generate_series(1, 99) n"
        )
        connection.execute(
            "INSERT INTO cgk_jobs.tenants (id, added, created_at) SELECT 't' || n, false, 0 FROM generate_series(0, 49) n"
        )
    assert await rows_read(store, postgres_database, RunFilter("t7")) == 5
    # Of every tenant a page is looked at, and one in all is read.
    assert await rows_read(store, postgres_database, RunFilter(None)) <= 50 * 5 + 10
    assert (await store.reads.run(None, 17, 1)) == (await store.reads.run("t17", 17, 1))


async def rows_read(store: PostgresStore, database: LedgerDatabase, which: RunFilter) -> int:
    """How many rows of the history the statement of a page of five touches."""
    page = await store.reads.runs(which, before=None, count=5)
    assert len(page) == 5
    name, values = await store.reads._filled(
        "list_all_runs" if which.tenant_id is None else "list_tenant_runs", which, [(1 << 63) - 1, 5]
    )
    connection = await asyncpg.connect(database.worker_url)
    try:
        plan = json.loads(await connection.fetchval("EXPLAIN (ANALYZE, FORMAT JSON) " + QUERIES[name], *values))
    finally:
        await connection.close()
    return sum(
        node["Actual Rows"] * node["Actual Loops"] + node.get("Rows Removed by Filter", 0)
        for node in nodes(plan[0]["Plan"])
        if node.get("Relation Name", "").startswith("finished_runs")
    )


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)
