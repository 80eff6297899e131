"""`cgk jobs schema` on PostgreSQL, as an operator types it."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result
from tests.servers.postgres import LedgerDatabase, PostgresServer

from cgk_jobs.cli.main import cgk

Command = Callable[..., Result]
PREFIX = "cgk_jobs_command"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    for name in (
        "JOBS_PROVIDER",
        "JOBS_DATABASE_URL",
        "JOBS_ADMIN_DATABASE_URL",
        "JOBS_TENANT_DATABASE_URL",
        "DATABASE_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(cgk, ["jobs", "schema", *arguments])
        assert result.exit_code == code, result.output
        return result

    return command


@pytest.fixture
def empty(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty database, its administrator in the environment."""
    name = postgres_server.empty_database()
    yield postgres_server.address(name)
    postgres_server.drop(name)
    for part in ("worker_login", "tenant_login", "owner", "worker", "tenant"):
        postgres_server.execute("DROP ROLE IF EXISTS {}", f"{PREFIX}_{part}")


def test_from_one_address_to_a_checked_ledger(
    empty: str, run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBS_ADMIN_DATABASE_URL", empty)
    assert "no ledger" in run("check", code=3).stderr
    env = tmp_path / ".env"
    env.write_text("SECRET_KEY=1\nexport JOBS_DATABASE_URL=sqlite:///old.db")
    first = run("apply", "--roles", PREFIX, "--write-env", str(env))
    assert "applied migration 1, 2" in first.stderr
    assert "***" in first.stdout
    lines = env.read_text().splitlines()
    assert lines[0] == "SECRET_KEY=1"
    assert [line.partition("=")[0] for line in lines[1:]] == ["JOBS_DATABASE_URL", "JOBS_TENANT_DATABASE_URL"]
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    for line in lines[1:]:
        url = line.partition("=")[2]
        assert url not in first.output
        with psycopg.connect(url) as connection:
            connection.execute("SELECT 1 FROM cgk_jobs.subscriptions")
    assert "nothing to apply" in run("apply", "--roles", PREFIX).stderr
    assert "the wall between tenants stands" in run("check").stderr
    monkeypatch.delenv("JOBS_ADMIN_DATABASE_URL")
    # Now .env has the worker's address, and that is enough.
    found = json.loads(run("check", "--json").stdout)
    assert (found["version"], found["schema"]) == (found["wanted"], [])
    assert not [problem for problem in found["wall"] if problem["severe"]]


def test_a_pipe_gets_no_password(empty: str, run: Command) -> None:
    made = run("apply", "--roles", PREFIX, "--database-url", empty)
    assert made.stdout.startswith(f"JOBS_DATABASE_URL=postgresql://{PREFIX}_worker_login:***@")
    assert "--new-passwords" in made.stderr
    found = json.loads(run("apply", "--json", "--new-passwords", "--roles", PREFIX, "--database-url", empty).stdout)
    assert found["applied"] == []
    assert ":***@" in found["environment"]["JOBS_TENANT_DATABASE_URL"]


def test_a_terminal_is_shown_the_passwords_once(empty: str, run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cgk_jobs.cli.schema_apply.is_terminal", lambda stream: True)
    shown = run("apply", "--roles", PREFIX, "--database-url", empty).stdout.splitlines()
    for line in shown:
        with psycopg.connect(line.partition("=")[2]) as connection:
            connection.execute("SELECT 1")
    again = run("apply", "--roles", PREFIX, "--database-url", empty)
    assert f"//{PREFIX}_worker_login@" in again.stdout
    assert "not known here" in again.stderr


def test_a_password_that_is_not_known_is_not_written(empty: str, run: Command, tmp_path: Path) -> None:
    run("apply", "--roles", PREFIX, "--database-url", empty)
    file = tmp_path / "production.env"
    refused = run("apply", "--roles", PREFIX, "--database-url", empty, "--write-env", str(file), code=2)
    assert "--new-passwords" in refused.stderr
    assert not file.exists()


def test_without_an_address_it_says_which_is_wanted(run: Command) -> None:
    assert "JOBS_ADMIN_DATABASE_URL" in run("apply", code=3).stderr


def test_an_address_nobody_answers_at_is_unreachable(run: Command) -> None:
    assert run("apply", "--database-url", "postgresql://x@127.0.0.1:1/x", code=4).stderr
    assert run("check", "--database-url", "postgresql://x@127.0.0.1:1/x", code=4).stderr


def test_an_embedded_ledgers_address_is_refused(run: Command) -> None:
    assert "no PostgreSQL address" in run("apply", "--database-url", "sqlite:///jobs.db", code=3).stderr


def test_holes_are_listed_with_their_remedies(postgres_database: LedgerDatabase, run: Command) -> None:
    with psycopg.connect(postgres_database.admin_url) as connection:
        connection.execute("ALTER TABLE cgk_jobs.runs NO FORCE ROW LEVEL SECURITY")
    found = run("check", "--database-url", postgres_database.worker_url, code=1)
    assert "ALTER TABLE cgk_jobs.runs FORCE ROW LEVEL SECURITY;" in found.stdout
    assert "1 faults" not in found.stderr
    assert "the wall between tenants has a fault" in found.stderr


def test_the_sql_can_be_read_first(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "CREATE TABLE runs" in run("print").stdout
    printed = run("print", "--provider", "postgres", "--roles", "shop").stdout
    assert printed.startswith("BEGIN;")
    assert "CREATE POLICY tenant_reads ON cgk_jobs.runs FOR SELECT TO shop_tenant" in printed
    monkeypatch.setenv("JOBS_ADMIN_DATABASE_URL", "postgresql://admin@host/shop")
    assert run("print", "--roles", "shop").stdout == printed
