"""Moving an installation between providers while it works: nothing lost, nothing twice, and killed in the middle as often as you like."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.servers.redis import RedisServer, left_connections

from cgk_jobs import Context, Event, Jobs, NotConfigured, ProviderUnavailable, Retry, Send, across_tenants
from cgk_jobs.providers import hosting, moving
from cgk_jobs.providers.moving import MoveReport, move, plan
from cgk_jobs.providers.registry import create_provider
from cgk_jobs.settings import Settings

RUNS = 240


class Moved(Event, name="moving.moved"):
    number: int


@pytest.fixture(autouse=True)
def _left() -> Iterator[None]:
    with left_connections():
        yield


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosting, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(moving, "PAUSE", 0.02)


def make(folder: Path, provider: str, redis_url: str | None) -> Jobs:
    path = folder / "jobs.db"
    values = {} if redis_url is None else {"REDIS_URL": redis_url}
    settings = Settings(
        provider=provider, database=path, full_sync=False, app="moving", folder=folder, ledger=str(path), values=values
    )
    return Jobs(create_provider(settings))


class Effects:
    """What the handlers of every process have done."""

    def __init__(self) -> None:
        self.done: Counter[int] = Counter()

    def declare(self, jobs: Jobs) -> Jobs:
        @jobs.task(on=Moved, id="note", retry=Retry(max_attempts=3, backoff="fixed", initial=0.05, jitter=0))
        async def note(event: Moved, ctx: Context) -> None:
            if event.number % 3 == 1:
                await ctx.sleep(0.3)
            if event.number % 7 == 0 and ctx.attempt == 1:
                raise ConnectionError("again, please")
            await ctx.step("effect", self._effect, event.number)

        return jobs

    async def _effect(self, number: int) -> None:
        self.done[number] += 1


@asynccontextmanager
async def working(*processes: Jobs) -> AsyncGenerator[None, None]:
    for jobs in processes:
        await jobs.start(concurrency=20)
    try:
        with across_tenants(reason="a move is the installation's"):
            yield
    finally:
        for jobs in processes:
            await jobs.stop()
            jobs.close()


async def moved(jobs: Jobs, target: str, *, kills: int = 0) -> MoveReport:
    """Move, with the move itself broken off so many times."""
    for _ in range(kills):
        async with contextlib.aclosing(move(jobs.mover(), target, timeout=30)) as begun:
            async for _report in begun:
                break
    report = None
    async for report in move(jobs.mover(), target, timeout=30):  # noqa: B007 - the last one counts
        continue
    assert report is not None
    return report


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again: what is waited for happens in other programs."""
    async with asyncio.timeout(40):
        while True:
            if await look():
                return
            await asyncio.sleep(0.02)


async def completed(jobs: Jobs, count: int) -> None:
    async def look() -> bool:
        return (await jobs.runs.count()).get("completed", 0) == count

    await until(look)


async def test_s42_there_and_back_with_runs_in_flight(tmp_path: Path, server: RedisServer) -> None:
    effects = Effects()
    processes = [effects.declare(make(tmp_path, "embedded", server.url)) for _ in range(2)]
    jobs = processes[0]
    async with working(*processes):
        items = [Send(Moved(tenant_id=f"t{n % 5}", number=n), delay=(n % 4) * 0.4 or None) for n in range(RUNS)]
        await jobs.send_many(items[: RUNS // 2])
        there = await moved(jobs, "bullmq", kills=5)
        assert there.done
        assert (await jobs.provider.store.active_provider("x")).name == "bullmq"
        await jobs.send_many(items[RUNS // 2 :])
        back = await moved(jobs, "embedded", kills=2)
        assert back.done
        assert back.left == 0
        await completed(jobs, RUNS)
    assert effects.done == dict.fromkeys(range(RUNS), 1)


async def test_a_plan_counts_and_changes_nothing(tmp_path: Path, server: RedisServer) -> None:
    jobs = Effects().declare(make(tmp_path, "embedded", server.url))
    with across_tenants(reason="a move is the installation's"):
        await jobs.send_many([Send(Moved(tenant_id="acme", number=n), delay=60 if n else None) for n in range(3)])
        report = await plan(jobs.mover(), "bullmq")
        assert (report.source, report.runs, report.done) == ("embedded", {"queued": 1, "scheduled": 2}, False)
        assert (await jobs.provider.store.active_provider("x")).name == "embedded"
    await jobs.stop()
    jobs.close()


async def test_nothing_moves_to_a_provider_that_does_not_answer(tmp_path: Path, server: RedisServer) -> None:
    jobs = Effects().declare(make(tmp_path, "embedded", server.url))
    server.kill()
    with pytest.raises(ProviderUnavailable, match="nothing was moved"):
        await moved(jobs, "bullmq")
    assert (await jobs.provider.store.active_provider("embedded")).name == "embedded"
    await jobs.stop()
    jobs.close()


async def test_nothing_moves_to_a_provider_without_settings(tmp_path: Path) -> None:
    jobs = Effects().declare(make(tmp_path, "embedded", None))
    with pytest.raises(NotConfigured, match="REDIS_URL"):
        await moved(jobs, "bullmq")
    assert (await jobs.provider.store.active_provider("embedded")).name == "embedded"
    await jobs.stop()
    jobs.close()


async def test_wake_ups_of_a_provider_that_is_gone_are_given_up(tmp_path: Path, server: RedisServer) -> None:
    effects = Effects()
    jobs = effects.declare(make(tmp_path, "bullmq", server.url))
    async with working(jobs):
        await jobs.send_many([Send(Moved(tenant_id="acme", number=n), delay=1.0) for n in range(6)])

        async def handed() -> bool:
            return sum(count.handed for count in (await jobs.provider.store.count_wakeups()).values()) == 6

        await until(handed)
        server.kill()
        report = await moved(jobs, "embedded")
        assert (report.done, report.withdrawn) == (True, 0)
        assert report.let_ring >= 6  # more, if the process had handed some out again before it followed
        assert "does not answer" in report.trouble
        await completed(jobs, 6)
    assert effects.done == dict.fromkeys(range(6), 1)
