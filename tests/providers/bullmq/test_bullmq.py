"""What is BullMQ's own: the server's fitness, the vendor's Python library on the other side, workers that die, foreign events."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from bullmq import Queue
from tests.servers.redis import RedisServer, left_connections

from cgk_jobs import Event, JobProvider, Jobs, NotConfigured, Retry, Unsupported, across_tenants
from cgk_jobs.providers.registry import create_provider
from cgk_jobs.settings import Settings


class Ordered(Event, name="bullmq.ordered"):
    number: int = 0


@pytest.fixture(autouse=True)
def _left() -> Iterator[None]:
    with left_connections():
        yield


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path, durable=True)
    server.start()
    yield server
    server.kill()


def make(folder: Path, url: str, *, provider: str = "bullmq") -> Jobs:
    path = folder / "jobs.db"
    settings = Settings(
        provider=provider, database=path, full_sync=False, app="own", folder=folder, ledger=str(path),
        values={"REDIS_URL": url},
    )  # fmt: skip
    return Jobs(create_provider(settings))


@asynccontextmanager
async def working(jobs: Jobs) -> AsyncGenerator[None, None]:
    await jobs.start(concurrency=10)
    try:
        with across_tenants(reason="the test looks at every tenant"):
            yield
    finally:
        await jobs.stop()
        jobs.close()


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while True:
            if await look():
                return
            await asyncio.sleep(0.02)


# -- settings and server ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "needs REDIS_URL"),
        ("http://:secret@127.0.0.1", "no address of a Redis"),
        ("redis://", "no address of a Redis"),
        ("redis://:secret@127.0.0.1:port", "its port is no number"),
        ("redis://:secret@127.0.0.1/jobs", "number of a database"),
    ],
)
def test_an_address_that_is_none_is_refused_and_not_repeated(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(NotConfigured, match=said) as refusal:
        make(tmp_path, url)
    assert "secret" not in str(refusal.value)


async def test_a_server_that_may_throw_jobs_away_is_refused(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, options=["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"])
    server.start()
    jobs = make(tmp_path, server.url)
    with pytest.raises(NotConfigured, match=r"allkeys-lru.*set maxmemory-policy noeviction"):
        await jobs.start()
    assert jobs.running is None
    jobs.close()
    server.kill()


async def test_a_wrong_password_is_said_without_the_password(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, options=["--requirepass", "right"])
    server.start()
    provider = make(tmp_path, server.url.replace("redis://", "redis://:wrong-secret@")).provider.hosted("bullmq")
    health = await provider.health()
    assert not health.ok
    assert "REDIS_URL" in health.reason
    assert "wrong-secret" not in health.reason + repr(provider)
    await provider.close()
    server.kill()


async def test_health(server: RedisServer, tmp_path: Path) -> None:
    provider = make(tmp_path, server.url).provider.hosted("bullmq")
    assert (await provider.health()).ok
    server.kill()
    health = await provider.health()
    assert (health.ok, "is Redis running?" in health.reason) == (False, True)
    await provider.close()


# -- what may happen ---------------------------------------------------------------------------------------------------


async def test_redis_is_killed_and_comes_back_with_its_file(server: RedisServer, tmp_path: Path) -> None:
    jobs = make(tmp_path, server.url)
    ran: list[int] = []

    @jobs.task(on=Ordered)
    async def note(event: Ordered) -> None:
        ran.append(event.number)

    async with working(jobs):
        await jobs.send(Ordered(tenant_id="acme", number=1), delay=1.0)
        store = jobs.provider.store

        async def handed() -> bool:
            return any(count.handed for count in (await store.count_wakeups()).values())

        await until(handed)
        server.kill()
        server.start()

        async def done() -> bool:
            return ran == [1]

        await until(done)


def _die_in_the_middle(folder: Path, url: str) -> None:
    async def main() -> None:
        jobs = make(folder, url)

        @jobs.task(on=Ordered, id="note", retry=Retry(max_attempts=3, initial=0.1, jitter=0))
        async def note(event: Ordered) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        await jobs.start(lease=1.0)
        await asyncio.Event().wait()

    asyncio.run(main())


async def test_a_worker_is_killed_and_another_takes_its_run_over(server: RedisServer, tmp_path: Path) -> None:
    jobs = make(tmp_path, server.url)
    ran: list[int] = []

    @jobs.task(on=Ordered, id="note", retry=Retry(max_attempts=3, initial=0.1, jitter=0))
    async def note(event: Ordered) -> None:
        ran.append(event.number)

    process = multiprocessing.get_context("spawn").Process(target=_die_in_the_middle, args=(tmp_path, server.url))
    process.start()
    await jobs.send(Ordered(tenant_id="acme", number=1))
    await asyncio.to_thread(process.join)
    assert process.exitcode == -signal.SIGKILL
    async with working(jobs):

        async def done() -> bool:
            return ran == [1]

        await until(done)
        (run,) = await jobs.runs.list(task="note")
        assert run.attempt == 2


# -- events made elsewhere -----------------------------------------------------------------------------------------------


async def _add(url: str, name: str, data: Any, job_id: str) -> None:
    queue: Any = Queue("shop-orders", {"connection": url})
    await queue.add(name, data, {"jobId": job_id})
    await queue.close()


async def test_a_job_of_another_program_becomes_an_event_once(server: RedisServer, tmp_path: Path) -> None:
    jobs = make(tmp_path, server.url)
    ran: list[tuple[str, int]] = []

    @jobs.task(on=Ordered)
    async def note(event: Ordered) -> None:
        ran.append((event.tenant_id, event.number))

    jobs.accept("bullmq", "shop-orders", events=["bullmq.ordered"], tenants=["acme"])
    async with working(jobs):
        await _add(server.url, "bullmq.ordered", {"tenant_id": "acme", "number": 7}, "order-7")

        async def done() -> bool:
            return len(ran) == 1

        await until(done)
        # The same job again, once the first is gone from Redis: the ledger knows its id.
        queue: Any = Queue("shop-orders", {"connection": server.url})
        await queue.obliterate(True)
        await queue.close()
        await _add(server.url, "bullmq.ordered", {"tenant_id": "acme", "number": 7}, "order-7")
        await _add(server.url, "bullmq.ordered", {"tenant_id": "acme", "number": 8}, "order-8")

        async def both() -> bool:
            return len(ran) == 2

        await until(both)
    assert ran == [("acme", 7), ("acme", 8)]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("bullmq.ordered", {"tenant_id": "zeta", "number": 1}, "may not speak for the tenant"),
        ("bullmq.ordered", {"number": 1}, "may not speak for the tenant"),
        ("bullmq.other", {"tenant_id": "acme"}, "may bring bullmq.ordered"),
        ("bullmq.ordered", {"tenant_id": "acme", "number": "many"}, "number"),
        ("bullmq.ordered", ["acme"], "no object"),
    ],
)
async def test_what_may_not_come_in_is_kept_with_the_reason(
    server: RedisServer, tmp_path: Path, name: str, data: Any, said: str
) -> None:
    jobs = make(tmp_path, server.url)

    @jobs.task(on=Ordered)
    async def note(event: Ordered) -> None:
        raise AssertionError("it may not come in")

    jobs.accept("bullmq", "shop-orders", events=["bullmq.ordered"], tenants=["acme"])
    async with working(jobs):
        await _add(server.url, name, data, "bad-1")
        queue: Any = Queue("shop-orders", {"connection": server.url})

        async def failed() -> bool:
            return bool(await queue.getFailedCount())

        await until(failed)
        (job,) = await queue.getFailed()
        assert said in job.failedReason
        await queue.close()
        assert await jobs.runs.count() == {}


async def test_a_provider_that_brings_nothing_refuses_a_source(server: RedisServer, tmp_path: Path) -> None:
    jobs = make(tmp_path, server.url)
    jobs.accept("qstash", "anything", events=["bullmq.ordered"])
    async with working(jobs):
        pass  # a source of a provider that is not in use waits for it
    with pytest.raises(Unsupported, match="qstash"):
        jobs._foreign.connect(cast("JobProvider", type("Provider", (), {"name": "qstash"})()))
