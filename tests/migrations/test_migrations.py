"""The ledger's schema: made, opened again, changed in one piece or not at all, by however many processes at once."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.forking import forks

from cgk_jobs import NotConfigured
from cgk_jobs.engine.sqlite import database
from cgk_jobs.engine.sqlite.database import APPLICATION_ID, open_database

LATEST = len(database._MIGRATIONS)


def schema(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2").fetchall()


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (number,) = connection.execute("PRAGMA user_version").fetchone()
        return int(number)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


def test_a_fresh_file_is_made_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "a" / "new" / "folder" / "jobs.db"
    with closing(open_database(path)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (0,)
        assert connection.execute("PRAGMA synchronous").fetchone() == (1,)
    assert version(path) == LATEST
    with closing(open_database(path, full_sync=True)) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_an_empty_file_becomes_a_ledger(path: Path) -> None:
    path.touch()
    open_database(path).close()
    assert version(path) == LATEST


def test_opening_again_changes_nothing(path: Path) -> None:
    with closing(open_database(path)) as connection:
        connection.execute("INSERT INTO tenants (id, added, created_at) VALUES ('acme', 1, 1)")
    before = schema(path)
    with closing(open_database(path)) as connection:
        assert connection.execute("SELECT id FROM tenants").fetchall() == [("acme",)]
        assert connection.execute("SELECT version FROM configuration").fetchall() == [(1,)]
    assert schema(path) == before


def add_migration(monkeypatch: pytest.MonkeyPatch, folder: Path, *statements: str) -> None:
    """The next version of the schema."""
    file = folder / f"{LATEST + 1:04}_next.sql"
    file.write_text(";\n".join(statements) + ";\n")
    monkeypatch.setattr(database, "_MIGRATIONS", [*database._MIGRATIONS, file])


def test_an_older_file_is_migrated_and_keeps_its_rows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_database(path)) as connection:
        connection.execute("INSERT INTO tenants (id, added, created_at) VALUES ('acme', 1, 1)")
    add_migration(monkeypatch, path.parent, "ALTER TABLE tenants ADD COLUMN plan TEXT NOT NULL DEFAULT 'free'")
    with closing(open_database(path)) as connection:
        assert connection.execute("SELECT id, plan FROM tenants").fetchall() == [("acme", "free")]
    assert version(path) == LATEST + 1


def test_a_migration_that_fails_half_way_leaves_nothing_of_itself(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_database(path).close()
    before = schema(path)
    add_migration(monkeypatch, path.parent, "CREATE TABLE plans (id TEXT)", "ALTER TABLE no_such_table ADD COLUMN x")
    for _ in range(2):
        with pytest.raises(NotConfigured, match="no_such_table"):
            open_database(path)
        assert schema(path) == before
        assert version(path) == LATEST
    monkeypatch.undo()
    open_database(path).close()


def test_a_first_migration_that_fails_leaves_a_file_that_can_be_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_migration(monkeypatch, path.parent, "CREATE TABLE runs (id TEXT)")
    with pytest.raises(NotConfigured, match="runs"):
        open_database(path)
    assert schema(path) == []
    monkeypatch.undo()
    open_database(path).close()
    assert version(path) == LATEST


def migrate(path: Path, barrier: Any, answers: Any) -> None:
    barrier.wait()
    try:
        with closing(open_database(path)) as connection:
            answers.put(connection.execute("PRAGMA user_version").fetchone()[0])
    except Exception as error:
        answers.put(repr(error))


@pytest.mark.parametrize("existing", [False, True])
def test_processes_that_migrate_at_once_all_succeed(path: Path, existing: bool) -> None:
    if existing:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    count = 6
    barrier, answers = forks.Barrier(count), forks.Queue()
    processes = [forks.Process(target=migrate, args=(path, barrier, answers)) for _ in range(count)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=40) for _ in processes]
    for process in processes:
        process.join()
    answers.close()
    answers.join_thread()
    assert found == [LATEST] * count
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version FROM configuration").fetchall() == [(1,)]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [int(file.name[:4]) for file in database._MIGRATIONS] == list(range(1, LATEST + 1))
