"""A tenant is purged (S40): of a thousand markers planted in everything it has, none is found in the live store."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from psycopg import sql
from tests.servers.ledgers import Ledgers
from tests.servers.postgres import LedgerDatabase

from cgk_jobs import Jobs
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.engine.quotas import TenantQuotas
from cgk_jobs.engine.records import Budgets, LogLine, NewEvent, Settlement, TenantRecord
from cgk_jobs.engine.sqlite.store import SqliteStore
from cgk_jobs.engine.store import Store
from cgk_jobs.tasks.policy import Limit, Rate
from cgk_jobs.tenants import Tenants
from cgk_jobs.testing.clock import TestClock
from cgk_jobs.testing.conformance.case import SECOND, Driver, subscription

TENANT = "soon-forgotten"
MARK = "zqx"
COUNT = 1_000


class Place(NamedTuple):
    """A ledger, and how it is looked through."""

    ledger: Driver
    folder: Path
    database: LedgerDatabase | None

    def found(self, text: str) -> int:
        """How often a text is in what the store can read: every table; with SQLite every byte of its files."""
        if self.database is None:
            return sum(file.read_bytes().count(text.encode()) for file in self.folder.rglob("*") if file.is_file())
        with psycopg.connect(self.database.admin_url, autocommit=True) as connection:
            tables = connection.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'cgk_jobs'::regnamespace AND relkind IN ('r', 'p')"
            ).fetchall()
            count = 0
            for (table,) in tables:
                query = sql.SQL(
                    "SELECT coalesce(sum((length(t::text) - length(replace(t::text, %s, ''))) / {}), 0) FROM {} t"
                )
                named = query.format(sql.Literal(len(text)), sql.Identifier("cgk_jobs", table))
                row = connection.execute(named, [text]).fetchone()
                assert row is not None
                count += int(row[0])
            statistics = connection.execute(
                "SELECT count(*) FROM pg_stats WHERE schemaname = 'cgk_jobs' AND pg_stats::text LIKE %s", [f"%{text}%"]
            ).fetchone()
            assert statistics is not None
            return count + int(statistics[0])

    def analyze(self) -> None:
        """Let the database sample its tables."""
        if self.database is not None:
            with psycopg.connect(self.database.admin_url, autocommit=True) as connection:
                connection.execute("ANALYZE")


def overwrite_nothing(store: SqliteStore) -> None:
    """Let SQLite leave what it deletes where it was, as it does unless a distribution built it otherwise."""
    store._commits.now(lambda ledger: ledger.db.execute("PRAGMA secure_delete = OFF").fetchall())


@pytest.fixture(params=["sqlite", "postgres"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    clock = TestClock()
    database: LedgerDatabase | None = None
    store: Store
    if request.param == "sqlite":
        store = SqliteStore(tmp_path / "jobs.db", clock)
        overwrite_nothing(store)
    else:
        ledgers: Ledgers = request.getfixturevalue("postgres_ledgers")
        database = ledgers.fresh()
        store = PostgresStore(database.worker_url, clock)
    seat = await store.take_seat(("default",), 100, 15.0)
    ledger = Driver(store, clock, seat)
    await ledger.listen(subscription("sync", "default"))
    yield Place(ledger, tmp_path, database)
    await seat.leave()
    store.close()
    if database is not None:
        request.getfixturevalue("postgres_ledgers").drop(database)


def markers() -> Iterator[str]:
    number = 0
    while True:
        yield f"{MARK}{number:06}"
        number += 1


async def plant(ledger: Driver, tenant_id: str, marks: Iterator[str], rounds: int, queue: str = "default") -> None:
    """Twenty markers in each round, in everything a tenant can have. It has the queue for itself."""
    store = ledger.store
    for _ in range(rounds):
        until = ledger.clock.micros() + 3_600 * SECOND
        news = [
            # Ended well and badly, waiting for later, ready, parked, running; and nobody listens to the last.
            *[NewEvent(tenant_id, queue, 1, f'{{"text":"{next(marks)}"}}', tags=next(marks)) for _ in range(4)],
            NewEvent(tenant_id, queue, 1, f'"{next(marks)}"', due_at=until),
            NewEvent(tenant_id, queue, 1, f'"{next(marks)}"', key=next(marks), key_until=until),
            NewEvent(tenant_id, f"nobody-{next(marks)}", 1, f'"{next(marks)}"'),
        ]
        await store.insert(news)
        first, second, third, *rest = await ledger.claim(5, queues=[queue])
        await store.record_step(first, next(marks), f'"{next(marks)}"')
        await store.write_progress(first, f'"{next(marks)}"')
        await store.append_log(first, [LogLine(1, "INFO", next(marks))])
        await ledger.settle(first, result=f'"{next(marks)}"')
        await ledger.settle(second, "failed", error=next(marks), outcome="failed")
        await ledger.settle(third, "retrying", attempt=2, error=next(marks), outcome="failed", due_at=until)
        await ledger.store.exchange(ledger.seat.id, [Settlement(one, "queued", 1) for one in rest[1:]], None)


async def test_s40_nothing_of_a_purged_tenant_is_found(place: Place) -> None:
    ledger, clock = place.ledger, place.ledger.clock
    tenants = Tenants(ledger.store, clock)
    # Budgets of the tenant's own, and one it shares with others.
    ledger.tasks["sync"] = Budgets(
        (Limit(500, per="tenant"), Limit(500)),
        (Rate(5_000, seconds=60, per="tenant"), Rate(5_000, seconds=60, per="text")),
    )
    await ledger.store.put_tenant(TenantRecord(TENANT, added=True, concurrency=400, rate=5_000, rate_seconds=60.0))
    await ledger.store.put_quotas(TenantQuotas(TENANT, queued_soft=100_000, sends_hard=10**6, sends_seconds=60.0))
    marks = markers()
    # Some was forgotten by retention before: SQLite has it in free pages, PostgreSQL nowhere it can be read.
    await plant(ledger, TENANT, marks, 2)
    clock.advance(1_000)
    await ledger.store.prune(clock.micros(), 100)
    await plant(ledger, TENANT, marks, 48)
    assert next(marks) == f"{MARK}{COUNT:06}"
    await ledger.listen(subscription("mail", "others", queue="others"))
    await plant(ledger, "goes-on", (f"kept-{number}" for number in range(1_000)), 2, "others")
    place.analyze()
    before, kept = place.found(MARK), place.found("kept-")
    assert before >= COUNT * 9 // 10, "the markers are not where they were planted"
    assert place.found(TENANT) > 100
    purged = await tenants.purge(TENANT, confirm=TENANT, wait=0)
    assert purged.abandoned >= 50
    assert sum(purged.rows.values()) > 500
    assert place.found(MARK) == 0
    assert place.found(TENANT) == 0
    if place.database is not None:  # in a file of SQLite's a text may stand in several pages
        assert place.found("kept-") == kept
    assert [one.id for one in await tenants.list()] == ["goes-on"]


async def test_slots_shared_with_a_purged_tenant_are_free_again(place: Place) -> None:
    ledger = place.ledger
    ledger.tasks["sync"] = Budgets((Limit(1),), ())
    await ledger.send(TENANT, "default")
    (claim,) = await ledger.claim()
    await ledger.send("goes-on", "default")
    assert await ledger.claim() == []
    assert await ledger.state(claim) == "running"
    await Tenants(ledger.store, ledger.clock).purge(TENANT, confirm=TENANT, wait=0)
    assert [one.tenant_id for one in await ledger.claim()] == ["goes-on"]


async def test_a_file_that_could_not_be_written_anew_is_at_the_next_purge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cgk_jobs import ProviderUnavailable
    from cgk_jobs.engine.sqlite import erasure

    jobs = Jobs(database=tmp_path / "jobs.db")
    store = jobs.provider.store
    assert isinstance(store, SqliteStore)
    overwrite_nothing(store)
    await store.insert([NewEvent(TENANT, "nobody", 1, f'"{MARK}"')] * 50)
    monkeypatch.setattr(erasure, "PATIENCE", 0.05)
    with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM runs").fetchone()
        with pytest.raises(ProviderUnavailable, match="purge again"):
            await jobs.tenants.purge(TENANT, confirm=TENANT)
    assert any(MARK.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert (await jobs.tenants.purge(TENANT, confirm=TENANT)).rows == {}
    assert not any(MARK.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    jobs.close()
