"""What nobody foresaw in one run ends, at most, that run: the worker says which, and goes on."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.servers.ledgers import Ledgers

from cgk_jobs import Context, Event, Jobs, Limit, Retry, RetryAfter, RunFailed, tenant_context
from cgk_jobs.runs import Run


class Placed(Event, name="unforeseen.placed"):
    what: str = "fine"


class Heard(logging.Handler):
    """The worker's complaints, and a way to wait for one."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.get_running_loop()
        self.said: list[str] = []
        self.news = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        self.loop.call_soon_threadsafe(self.news.set)

    async def wait_for(self, text: str) -> str:
        while True:
            self.news.clear()
            for line in self.said:
                if text in line:
                    return line
            await self.news.wait()


SQLITE_TRIGGER = """
CREATE TRIGGER refuse BEFORE UPDATE ON runs WHEN OLD.state = 'running' AND OLD.payload LIKE '%cursed%'
BEGIN SELECT RAISE(ABORT, 'it is cursed'); END
"""
POSTGRES_TRIGGER = """
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'it is cursed' USING ERRCODE = 'check_violation'; END$$;
CREATE TRIGGER refuse BEFORE UPDATE OR DELETE ON cgk_jobs.runs FOR EACH ROW
    WHEN (OLD.state = 'running' AND OLD.payload LIKE '%cursed%') EXECUTE FUNCTION public.refuse()
"""


class Ledger:
    """An application on either engine, and a way to curse what is in its database."""

    def __init__(self, jobs: Jobs, execute: Callable[[str], object], is_sqlite: bool) -> None:
        self.jobs = jobs
        self._execute = execute
        self._is_sqlite = is_sqlite

    async def curse(self) -> None:
        """From now on the database refuses every change of a running run with this word in its payload."""
        await asyncio.to_thread(self._execute, SQLITE_TRIGGER if self._is_sqlite else POSTGRES_TRIGGER)

    async def lift(self) -> None:
        """End of the curse."""
        await asyncio.to_thread(self._execute, "DROP TRIGGER refuse" + ("" if self._is_sqlite else " ON cgk_jobs.runs"))

    async def send(self, what: str) -> str:
        return (await self.jobs.send(Placed(tenant_id="acme", what=what))).run_id

    async def wait(self, run_id: str) -> Any:
        with tenant_context("acme"):
            return await self.jobs.runs.wait(run_id, 20)

    async def get(self, run_id: str) -> Run:
        with tenant_context("acme"):
            return await self.jobs.runs.get(run_id)


@pytest.fixture(params=["sqlite", "postgres"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    if request.param == "sqlite":

        def execute(statement: str) -> object:
            with closing(sqlite3.connect(tmp_path / "jobs.db", timeout=20)) as connection, connection:
                return connection.execute(statement)

        jobs = Jobs(f"sqlite:///{tmp_path / 'jobs.db'}")
        yield Ledger(jobs, execute, True)
        jobs.close()
        return
    ledgers: Ledgers = request.getfixturevalue("postgres_ledgers")
    database = ledgers.fresh()

    def execute_there(statement: str) -> object:
        with psycopg.connect(database.admin_url, autocommit=True) as connection:
            return connection.execute(statement.encode())

    jobs = Jobs(database.worker_url)
    yield Ledger(jobs, execute_there, False)
    jobs.close()
    ledgers.drop(database)


@pytest.fixture
async def heard() -> AsyncIterator[Heard]:
    handler = Heard()
    logging.getLogger("cgk_jobs.engine").addHandler(handler)
    yield handler
    logging.getLogger("cgk_jobs.engine").removeHandler(handler)


class Moody(type):
    """Errors of this kind can't be asked what they are."""

    def __instancecheck__(cls, instance: object) -> bool:
        raise RuntimeError("don't ask")


class MoodyError(Exception, metaclass=Moody):
    """Named in a retry policy."""


async def test_an_error_of_the_worker_itself_is_a_failed_attempt(ledger: Ledger, heard: Heard) -> None:
    @ledger.jobs.task(
        on=Placed, concurrency=Limit(1), retry=Retry(max_attempts=2, initial=0.01, retry_on=(MoodyError,))
    )
    async def sync(event: Placed, ctx: Context) -> str:
        if event.what == "odd":
            raise ValueError("no matter")
        return event.what

    await ledger.jobs.start()
    try:
        odd, fine = await ledger.send("odd"), await ledger.send("fine")
        assert await ledger.wait(fine) == "fine", "the slot came back"
        with pytest.raises(RunFailed):
            await ledger.wait(odd)
        run = await ledger.get(odd)
        assert (run.state, run.attempt) == ("failed", 2)
        # The last attempt is over in any case: nobody asks the policy.
        assert [one.error for one in run.attempts] == [
            "the worker could not end the attempt: RuntimeError: don't ask",
            "ValueError: no matter",
        ]
        line = await heard.wait_for("can't be ended")
        assert "acme" in line
        assert odd in line
    finally:
        await ledger.jobs.stop(0)


async def test_a_strand_that_ends_late_takes_no_result_with_it(ledger: Ledger) -> None:
    cut, go_on = asyncio.Event(), asyncio.Event()

    @ledger.jobs.task(on=Placed, timeout=0.3, retry=Retry(max_attempts=1))
    async def leaving(event: Placed, ctx: Context) -> str:
        async def stubborn() -> None:
            try:
                await ctx.step("long", asyncio.Event().wait)
            except asyncio.CancelledError:
                cut.set()
                await go_on.wait()

        left = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        assert not left.done()
        return "done"

    await ledger.jobs.start()
    try:
        run_id = await ledger.send("fine")
        await cut.wait()
        assert await ledger.wait(run_id) == "done"
    finally:
        go_on.set()
        await ledger.jobs.stop(0)


async def test_an_ending_the_ledger_refuses_is_a_failed_attempt_and_keeps_no_other(
    ledger: Ledger, heard: Heard
) -> None:
    together = asyncio.Barrier(3)

    @ledger.jobs.task(on=Placed, retry=Retry(max_attempts=2, initial=0.01))
    async def sync(event: Placed, ctx: Context) -> str:
        if ctx.attempt == 1:
            await together.wait()
            if event.what == "odd":
                raise RetryAfter(1e300)  # no moment the database could keep
        return event.what

    await ledger.jobs.start()
    try:
        odd, *fine = [await ledger.send(what) for what in ("odd", "one", "two")]
        assert [await ledger.wait(run_id) for run_id in (*fine, odd)] == ["one", "two", "odd"]
        (attempt,) = (await ledger.get(odd)).attempts
        assert (attempt.error or "").startswith("the worker could not end the attempt: ")
        line = await heard.wait_for("it counts as failed")
        assert "acme" in line
        assert odd in line
    finally:
        await ledger.jobs.stop(0)


async def test_a_run_that_cannot_be_settled_at_all_is_left_and_the_worker_goes_on(ledger: Ledger, heard: Heard) -> None:
    @ledger.jobs.task(on=Placed)
    async def sync(event: Placed, ctx: Context) -> str:
        return event.what

    await ledger.jobs.start()
    await ledger.curse()
    cursed = await ledger.send("cursed")
    line = await heard.wait_for("can't be settled at all")
    assert "acme" in line
    assert cursed in line
    assert await ledger.wait(await ledger.send("fine")) == "fine"
    assert (await ledger.get(cursed)).state == "running"
    await ledger.lift()
    await ledger.jobs.stop(0)
    await ledger.jobs.start()
    assert await ledger.wait(cursed) == "cursed"
    assert (await ledger.get(cursed)).attempt == 1
    await ledger.jobs.stop(0)
