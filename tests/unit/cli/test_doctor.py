"""``cgk jobs doctor``: each thing it looks at, with the fault made for real."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from tests.servers.ledgers import Ledgers

from cgk_jobs import Event, Jobs, Retry, Tick
from cgk_jobs.checkup import postgres as checkup_postgres
from cgk_jobs.checkup.findings import Finding
from cgk_jobs.checkup.ledger import look_at_ledger
from cgk_jobs.checkup.postgres import look_at_postgres
from cgk_jobs.checkup.provider import look_at_provider
from cgk_jobs.checkup.safety import look_at_settings
from cgk_jobs.providers.registry import create_provider
from cgk_jobs.settings import Settings, load_settings


class Looked(Event, name="doctor.looked"):
    number: int = 0


def levels(found: list[Finding], subject: str) -> list[str]:
    return [one.level for one in found if one.subject == subject]


def said(found: list[Finding]) -> str:
    return "\n".join(f"{one.subject}: {one.text} -> {one.remedy}" for one in found)


async def ledger_of(jobs: Jobs, **options: bool) -> list[Finding]:
    return await look_at_ledger(jobs.provider.store, jobs.clock, **{"on_call": False, **options})


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    made = Jobs(f"sqlite:///{tmp_path / 'jobs.db'}")

    @made.task(on=Looked, retry=Retry(max_attempts=1))
    async def note(event: Looked) -> None:
        if event.number:
            raise LookupError("not found")

    return made


async def test_nobody_works_though_there_is_work(jobs: Jobs) -> None:
    await jobs.declare()
    assert levels(await ledger_of(jobs), "workers") == ["mind"]
    await jobs.send(Looked(tenant_id="acme"))
    assert levels(await ledger_of(jobs), "workers") == ["bad"]
    assert levels(await ledger_of(jobs, on_call=True), "workers") == ["fine"]
    await jobs.start()
    assert levels(await ledger_of(jobs), "workers") == ["fine"]
    await jobs.stop()
    jobs.close()


async def test_runs_wait_and_none_runs(jobs: Jobs, tmp_path: Path) -> None:
    await jobs.send(Looked(tenant_id="acme"))
    assert levels(await ledger_of(jobs), "backlog") == ["fine"]
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as file, file:
        file.execute("UPDATE runs SET created_at = created_at - 60000000")
    assert levels(await ledger_of(jobs), "backlog") == ["bad"]
    jobs.close()


async def test_schedules_that_stand_still(jobs: Jobs, tmp_path: Path) -> None:
    @jobs.cron("0 * * * *", tenants="seen")
    async def hourly(tick: Tick) -> None: ...

    await jobs.tenants.add("acme")
    await jobs.start()
    async with asyncio.timeout(30):
        while levels(await ledger_of(jobs), "schedules") != ["fine"]:  # noqa: ASYNC110 - the scheduler registers it
            await asyncio.sleep(0.02)
    await jobs.stop()
    before = round((datetime.now(UTC) - timedelta(hours=3)).timestamp() * 1e6)
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as file, file:
        assert file.execute("UPDATE schedules SET last_at = ?", (before,)).rowcount == 1
    found = await ledger_of(jobs)
    assert levels(found, "schedules") == ["bad"]
    assert "hourly" in said(found)
    jobs.close()


async def test_failures_and_pauses(jobs: Jobs) -> None:
    await jobs.start()
    await jobs.send(Looked(tenant_id="acme", number=1))
    async with asyncio.timeout(30):
        while levels(await ledger_of(jobs), "failures") != ["mind"]:  # noqa: ASYNC110 - its tries come first
            await asyncio.sleep(0.05)
    await jobs.queues.pause("default")
    found = await ledger_of(jobs)
    assert (levels(found, "failures"), levels(found, "pauses")) == (["mind"], ["mind"])
    await jobs.stop()
    jobs.close()


def test_a_file_of_keys_others_can_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("JOBS_PUBLIC_URL=https://shop.example/jobs\n")
    (tmp_path / ".env").chmod(0o644)
    found = look_at_settings(load_settings(folder=tmp_path, environment={}))
    assert "bad" in levels(found, "settings")
    assert (levels(found, "keys"), levels(found, "dashboard")) == (["mind"], ["mind"])
    (tmp_path / ".env").chmod(0o600)
    assert "bad" not in levels(look_at_settings(load_settings(folder=tmp_path, environment={})), "settings")


async def test_a_provider_that_is_not_reached_and_what_happens_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    settings = Settings(
        provider="bullmq", database=path, full_sync=False, app=None, folder=tmp_path, ledger=str(path),
        values={"REDIS_URL": "redis://127.0.0.1:9"},
    )  # fmt: skip
    bound = create_provider(settings)
    found = await look_at_provider(bound)
    assert levels(found, "provider") == ["bad"]
    assert "sweep of started processes" in said(found)
    bound.close()


async def test_postgres_says_what_is_in_its_way(postgres_ledgers: Ledgers, monkeypatch: pytest.MonkeyPatch) -> None:
    database = postgres_ledgers.fresh()
    found = await look_at_postgres(database.worker_url)
    assert {one.level for one in found} == {"fine"}, said(found)
    monkeypatch.setattr(checkup_postgres, "LONG_TRANSACTION", 0.0)
    monkeypatch.setattr(checkup_postgres, "CLOCKS_APART", -1.0)
    with psycopg.connect(database.worker_url) as other:
        other.execute("SELECT 1")  # and stays open
        found = await look_at_postgres(database.worker_url)
    assert levels(found, "transactions") == ["mind"]
    assert levels(found, "clocks") == ["mind"]
    with psycopg.connect(database.admin_url) as admin:
        admin.execute("ALTER TABLE cgk_jobs.runs NO FORCE ROW LEVEL SECURITY")
    assert "bad" in levels(await look_at_postgres(database.worker_url), "wall")
    postgres_ledgers.drop(database)
