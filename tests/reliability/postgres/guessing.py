"""S31: random calls of one tenant with the ids of another one's runs, and with guesses near them."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from tests.reliability.processes import until_async
from tests.servers.postgres import LedgerDatabase

from cgk_jobs import Context, Event, Jobs, Retry, RunNotFound, tenant_context

__all__ = ["guess"]

_TABLES = ("runs", "finished_runs", "run_tags", "steps", "attempts", "run_logs", "idempotency_keys", "jumps", "limits")
_AT_ONCE = 20


class Known(Event, name="guess.known"):
    number: int


async def guess(database: LedgerDatabase, *, calls: int, seed: int) -> None:
    """``calls`` of tenant ``intruder``, all of which must answer as for a run that never was, and change nothing."""
    jobs = Jobs(database.worker_url)
    chance = random.Random(seed)

    @jobs.task(on=Known, retry=Retry(max_attempts=1), tags=["known"])
    async def work(event: Known, ctx: Context) -> str:
        await ctx.step("secret", lambda: "SECRET")
        ctx.log.info("SECRET")
        if event.number % 2:
            raise ValueError("SECRET")
        return "SECRET"

    try:
        victims = [await jobs.send(Known(tenant_id="victim", number=number), key=f"{number}") for number in range(20)]
        await jobs.start()
        await until_async(lambda: _value(database, "SELECT count(*) FROM cgk_jobs.finished_runs") == 20)
        await jobs.stop()
        victims += [await jobs.send(Known(tenant_id="victim", number=number), delay=600) for number in range(20, 40)]
        await jobs.send(Known(tenant_id="intruder", number=0), delay=600)
        before = _everything(database)
        ids = [sent.run_id for sent in victims]
        acts = _acts(jobs)
        for first in range(0, calls, _AT_ONCE):
            portion = [
                _one(acts, chance, _near(ids[chance.randrange(len(ids))], chance))
                for _ in range(first, min(first + _AT_ONCE, calls))
            ]
            await asyncio.gather(*portion)
        with tenant_context("intruder"):
            # What takes no id sees the tenant's own alone.
            assert [run.tenant_id for run in await jobs.runs.list()] == ["intruder"]
            assert await jobs.runs.count() == {"scheduled": 1}
            assert await jobs.runs.cancel(event="guess.known", state="running") == 0
            assert await jobs.runs.replay_all(task="work", state="failed") == ()
            assert len(await jobs.runs.list(cursor=ids[-1])) <= 1
        assert _everything(database) == before
    finally:
        await jobs.stop(grace=0)
        jobs.close()


def _acts(jobs: Jobs) -> list[Callable[[str], Awaitable[Any]]]:
    runs = jobs.runs
    return [
        runs.get,
        runs.cancel,
        lambda run: runs.cancel(run, tree=False),
        runs.retry,
        runs.replay,
        lambda run: runs.replay(run, from_step="secret"),
        lambda run: runs.wait(run, 0),
        lambda run: runs.list(parent_id=run),
        lambda run: anext(aiter(runs.watch(run))),
    ]


async def _one(acts: list[Callable[[str], Awaitable[Any]]], chance: random.Random, run_id: str) -> None:
    act = chance.choice(acts)
    with tenant_context("intruder"), pytest.raises(RunNotFound) as refused:
        await act(run_id)
    # Nothing but the id it asked for: the same words for what exists and for what does not.
    assert str(refused.value) == f"there is no run {run_id!r} for this tenant; list what there is with jobs.runs.list()"


def _near(run_id: str, chance: random.Random) -> str:
    """The id itself, one beside it, one of the same moment, any other, or none at all."""
    number = uuid.UUID(run_id).int
    kind = chance.randrange(5)
    if kind == 1:
        number += chance.choice((-1, 1))
    elif kind == 2:
        number = (number >> 62 << 62) | chance.getrandbits(62)
    elif kind == 3:
        return str(uuid.uuid4())
    elif kind == 4:
        return chance.choice(("", "1", run_id.upper() + "'", f"{run_id} OR 1=1", "%", "\\", run_id[:-1]))
    return str(uuid.UUID(int=number))


def _everything(database: LedgerDatabase) -> dict[str, list[Any]]:
    with psycopg.connect(database.admin_url) as admin:
        return {
            table: admin.execute(f"SELECT t::text FROM cgk_jobs.{table} t ORDER BY 1".encode()).fetchall()
            for table in _TABLES
        }


def _value(database: LedgerDatabase, question: str) -> Any:
    with psycopg.connect(database.admin_url) as admin:
        row = admin.execute(question.encode()).fetchone()
        assert row is not None
        return row[0]
