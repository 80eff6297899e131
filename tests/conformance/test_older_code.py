"""Code that is older than the schema of its ledger, as in the middle of a deploy: it works, if the newer migration lets it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from tests.conformance.postgres import PostgresLedgers
from tests.conformance.test_sqlite_store import bury_sqlite_worker
from tests.servers.ledgers import Ledgers
from tests.servers.postgres import LedgerDatabase

from cgk_jobs import ForeignDatabase
from cgk_jobs.clock import Clock, SystemClock
from cgk_jobs.engine.postgres import migrate
from cgk_jobs.engine.postgres.migrate import MIGRATIONS, SCHEMA_VERSION, Migration
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.engine.sqlite import database
from cgk_jobs.engine.sqlite.database import open_database
from cgk_jobs.engine.sqlite.store import SqliteStore
from cgk_jobs.engine.store import Store, WorkerSeat
from cgk_jobs.errors import NotConfigured
from cgk_jobs.testing.conformance.acting import ActingSuite
from cgk_jobs.testing.conformance.claiming import ClaimingSuite
from cgk_jobs.testing.conformance.sending import SendingSuite

_ADDED = """
ALTER TABLE cgk_jobs.runs ADD later integer;
ALTER TABLE cgk_jobs.finished_runs ADD later integer NOT NULL DEFAULT 0;
CREATE TABLE cgk_jobs.later (tenant_id text PRIMARY KEY);
"""
_ADDED_TO_FILE = "ALTER TABLE runs ADD COLUMN later INTEGER NOT NULL DEFAULT 0;\nCREATE TABLE later (tenant_id TEXT);\n"
_LATEST_FILE = len(database._MIGRATIONS)


def upgrade(ledger: LedgerDatabase, ledgers: Ledgers, first_line: str, *more: str) -> None:
    """Apply migrations this code does not know, as the next release would."""
    later = [
        Migration(
            SCHEMA_VERSION + number,
            f"{SCHEMA_VERSION + number:04}_later",
            f"{line}\n{_ADDED if number == 1 else 'SELECT 1;'}",
        )
        for number, line in enumerate((first_line, *more), 1)
    ]
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as thread:
        patch.setattr(migrate, "MIGRATIONS", (*MIGRATIONS, *later))
        patch.setattr(migrate, "SCHEMA_VERSION", SCHEMA_VERSION + len(later))
        done = thread.submit(asyncio.run, migrate.apply(ledger.admin_url, roles=ledgers.roles)).result()
    assert done == [migration.version for migration in later]


def upgrade_file(path: Path, first_line: str) -> None:
    open_database(path).close()
    later = path.with_name("later.sql")
    later.write_text(f"{first_line}\n{_ADDED_TO_FILE}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_MIGRATIONS", [*database._MIGRATIONS, later])
        open_database(path).close()


class TestOlderCodeOnPostgres(SendingSuite, ClaimingSuite, ActingSuite):
    ledgers: PostgresLedgers
    numbers_in_one_place = False

    @pytest.fixture(autouse=True)
    def _database(self, postgres_ledgers: Ledgers, tmp_path: Path) -> Iterator[None]:
        upgrade(postgres_ledgers.of_folder(tmp_path), postgres_ledgers, f"-- Oldest code: schema {SCHEMA_VERSION}.")
        self.ledgers = PostgresLedgers(postgres_ledgers)
        yield
        postgres_ledgers.drop_of_folders()

    def make_store(self, folder: Path, clock: Clock) -> Store:
        return self.ledgers.store(folder, clock)

    async def bury(self, store: Store, seat: WorkerSeat) -> None:
        self.ledgers.bury(store, seat)


class TestOlderCodeOnSqlite(SendingSuite, ClaimingSuite, ActingSuite):
    def make_store(self, folder: Path, clock: Clock) -> Store:
        path = folder / "jobs.db"
        if not path.exists():
            upgrade_file(path, f"-- Oldest code: schema {_LATEST_FILE}.")
        return SqliteStore(path, clock)

    async def bury(self, store: Store, seat: WorkerSeat) -> None:
        bury_sqlite_worker(store, seat)


@pytest.mark.parametrize(
    "lines",
    [
        [f"-- Oldest code: schema {SCHEMA_VERSION + 1}."],
        ["-- It does not say."],
        [f"-- Oldest code: schema {SCHEMA_VERSION}.", "-- It does not say."],
        ["-- It does not say.", f"-- Oldest code: schema {SCHEMA_VERSION}."],
    ],
)
async def test_what_breaks_older_code_keeps_it_out(
    postgres_database: LedgerDatabase, postgres_ledgers: Ledgers, lines: list[str]
) -> None:
    upgrade(postgres_database, postgres_ledgers, *lines)
    store = PostgresStore(postgres_database.worker_url, SystemClock())
    with pytest.raises(
        NotConfigured,
        match=rf"has schema {SCHEMA_VERSION + len(lines)}, which code of schema \d+ and newer can work with",
    ):
        await store.take_seat(("default",), 1, 15.0)
    store.close()


async def test_older_code_applies_nothing_to_a_newer_ledger_that_serves_it(
    postgres_database: LedgerDatabase, postgres_ledgers: Ledgers
) -> None:
    upgrade(postgres_database, postgres_ledgers, f"-- Oldest code: schema {SCHEMA_VERSION}.")
    assert await migrate.apply(postgres_database.admin_url, roles=postgres_ledgers.roles) == []
    assert (await migrate.status(postgres_database.worker_url)).problems == ()


@pytest.mark.parametrize("line", [f"-- Oldest code: schema {_LATEST_FILE + 1}.", "-- It does not say."])
def test_a_file_that_breaks_older_code_keeps_it_out(tmp_path: Path, line: str) -> None:
    upgrade_file(tmp_path / "jobs.db", line)
    with pytest.raises(ForeignDatabase, match=f"has schema {_LATEST_FILE + 1}.*too old for it: update"):
        open_database(tmp_path / "jobs.db")


_Columns = dict[tuple[str, str], tuple[str, bool]]
"""Type and whether a value must be given, by table and column."""


def columns_of(url: str) -> _Columns:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT table_name, column_name, data_type, is_nullable = 'NO' AND column_default IS NULL "
            "FROM information_schema.columns WHERE table_schema = 'cgk_jobs'"
        ).fetchall()
    return {(table, column): (kind, needed) for table, column, kind, needed in rows}


def assert_additive(before: _Columns, after: _Columns) -> None:
    assert before.items() <= after.items(), "a column is gone, or another one"
    tables = {table for table, _ in before}
    assert not [key for key in after.keys() - before.keys() if key[0] in tables and after[key][1]]


@pytest.mark.parametrize(
    "migration", [one for one in MIGRATIONS if (one.oldest_code or one.version) < one.version], ids=lambda one: one.name
)
async def test_a_migration_that_serves_older_code_only_adds(postgres_ledgers: Ledgers, migration: Migration) -> None:
    name = postgres_ledgers.server.empty_database()
    url = postgres_ledgers.server.address(name)
    await migrate.apply(url, roles=postgres_ledgers.roles, upto=migration.version - 1)
    before = columns_of(url)
    await migrate.apply(url, roles=postgres_ledgers.roles, upto=migration.version)
    assert_additive(before, columns_of(url))
    postgres_ledgers.server.drop(name)


def test_a_file_migration_that_serves_older_code_only_adds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = database._MIGRATIONS
    path = tmp_path / "jobs.db"
    before: _Columns = {}
    for count in range(1, len(files) + 1):
        monkeypatch.setattr(database, "_MIGRATIONS", files[:count])
        open_database(path).close()
        with closing(sqlite3.connect(path)) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            after: _Columns = {
                (table, column): (kind, bool(needed) and default is None)
                for table in tables
                for _, column, kind, needed, default, _ in connection.execute(f"PRAGMA table_info({table})")
            }
        if "-- Oldest code: schema" in files[count - 1].read_text().splitlines()[0]:
            assert_additive(before, after)
        before = after


def test_every_new_migration_says_which_code_it_serves() -> None:
    assert all(one.oldest_code is not None for one in MIGRATIONS if one.version >= 6)
    assert all(file.read_text().startswith("-- Oldest code: schema ") for file in database._MIGRATIONS[4:])
