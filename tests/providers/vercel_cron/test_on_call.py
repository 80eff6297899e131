"""An application that works only while it is called: what does not end in time is put back, and a process that slept works on."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.providers.vercel_cron.harness import settings_of

from cgk_jobs import Event, Jobs, across_tenants
from cgk_jobs.providers.bound import Running
from cgk_jobs.providers.registry import create_provider


class Slow(Event, name="vercel.slow"):
    pass


def make_jobs(folder: Path) -> Jobs:
    return Jobs(create_provider(settings_of(folder, None)))


async def called(jobs: Jobs) -> Running:
    """The work of this process, as a call to it begins it."""
    await jobs.asgi()({"type": "http", "method": "GET", "path": "/cron/tick", "headers": []}, _receive, _send)
    assert jobs.running is not None
    return jobs.running


async def _receive() -> dict[str, object]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: object) -> None:
    """Refused, but begun: nobody listens."""


async def test_what_does_not_end_within_the_call_is_put_back_and_spends_no_attempt(tmp_path: Path) -> None:
    jobs = make_jobs(tmp_path)
    ended: list[int] = []

    @jobs.task(on=Slow)
    async def slow(event: Slow) -> int:
        ended.append(1)
        if len(ended) == 1:
            await asyncio.sleep(3600)
        return len(ended)

    sent = await jobs.send(Slow(tenant_id="acme"))
    running = await called(jobs)
    with across_tenants(reason="a test"):
        assert (await running.drain(0.3))["runs"] == 1
        run = await jobs.runs.get(sent.run_ids[0])
        assert (run.state, run.attempt) == ("queued", 1)
        assert (await running.drain(5.0))["left"] == 0
        run = await jobs.runs.get(sent.run_ids[0])
        assert (run.state, run.attempt, run.result) == ("completed", 1, 2)
    await jobs.stop()
    jobs.close()


async def test_a_process_whose_lease_ran_out_while_it_slept_works_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = make_jobs(tmp_path)

    @jobs.task(on=Slow)
    async def quick(event: Slow) -> str:
        return "done"

    await jobs.declare()
    running = await called(jobs)
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as ledger, ledger:
        assert (
            ledger.execute("DELETE FROM workers").rowcount == 1
        )  # as another process does with what it takes for dead
    sent = await jobs.send(Slow(tenant_id="acme"))
    assert (await running.drain(5.0))["left"] == 0
    with across_tenants(reason="a test"):
        assert (await jobs.runs.get(sent.run_ids[0])).state == "completed"
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as ledger:
        assert ledger.execute("SELECT count(*) FROM workers").fetchone() == (1,), (
            "what it claims must be known as its own"
        )
    assert not [line for line in caplog.records if line.levelname == "ERROR"], "sleeping is what such a process does"
    await jobs.stop()
    jobs.close()


async def test_a_stop_ends_what_a_call_is_just_beginning(tmp_path: Path) -> None:
    jobs = make_jobs(tmp_path)
    await jobs.declare()
    await asyncio.gather(called_or_stopped(jobs), jobs.stop())
    await jobs.stop()
    assert jobs.running is None
    jobs.close()


async def called_or_stopped(jobs: Jobs) -> None:
    await jobs.asgi()({"type": "http", "method": "GET", "path": "/cron/tick", "headers": []}, _receive, _send)


async def test_tasks_a_call_can_t_hold_are_named_when_it_starts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = make_jobs(tmp_path)

    @jobs.task(on=Slow, timeout=40)
    async def fits(event: Slow) -> None: ...

    @jobs.task(on=Slow, timeout=600)
    async def endless(event: Slow) -> None: ...

    await called(jobs)
    (line,) = [record.message for record in caplog.records if "48 s of a call" in record.message]
    assert "endless" in line
    assert "fits" not in line
    await jobs.stop()
    jobs.close()
