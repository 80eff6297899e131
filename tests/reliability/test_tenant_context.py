"""The tenant of a handler under thousands of interleaved tasks, threads, processes, errors and cancellations (S32)."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from tests.reliability.processes import until_async

from cgk_jobs import (
    Context,
    Event,
    Jobs,
    Retry,
    TenantMismatch,
    TenantRequired,
    across_tenants,
    current_tenant,
    tenant_context,
)
from cgk_jobs.runtime.processes import ProcessContext
from cgk_jobs.tasks.group import TaskGroup

TENANTS = [f"tenant-{number}" for number in range(25)]
EACH = 12


class Checked(Event, name="context.checked"):
    number: int = 0


class Isolated(Event, name="context.isolated"):
    number: int = 0


group = TaskGroup()


@group.task(on=Isolated, isolation="process")
def in_a_process(event: Isolated, ctx: ProcessContext) -> list[str]:
    return [event.tenant_id, current_tenant(), ctx.tenant_id]


def ticks(count: int) -> Generator[str, None, None]:
    for _ in range(count):
        yield current_tenant()


async def slow_ticks(count: int) -> AsyncIterator[str]:
    for _ in range(count):
        await asyncio.sleep(0)
        yield current_tenant()


@contextmanager
def entered(found: list[str]) -> Iterator[None]:
    found.append(current_tenant())
    try:
        yield
    finally:
        found.append(current_tenant())


@asynccontextmanager
async def entered_async(found: list[str]) -> AsyncIterator[None]:
    await asyncio.sleep(0)
    found.append(current_tenant())
    try:
        yield
    finally:
        await asyncio.sleep(0)
        found.append(current_tenant())


async def look_around(event: Checked, ctx: Context) -> list[str]:
    """The tenant as seen from every corner of a handler."""
    found = [current_tenant(), ctx.tenant_id]
    found += list(ticks(2))
    found += [tick async for tick in slow_ticks(2)]
    found += await asyncio.gather(*(asyncio.to_thread(current_tenant) for _ in range(2)))

    async def child() -> str:
        await asyncio.sleep(0)
        return current_tenant()

    found += await asyncio.gather(child(), child())
    with entered(found):
        async with entered_async(found):
            await asyncio.sleep(0)
    found.append(await ctx.step("step", current_tenant))
    found.append(await ctx.step("step in a task", child))
    with across_tenants(reason="a test"), pytest.raises(TenantRequired):
        current_tenant()
    with across_tenants(reason="a test"), tenant_context("other"):
        await asyncio.sleep(0)
    other = "tenant-x"
    with pytest.raises(TenantMismatch):
        tenant_context(other).__enter__()
    with pytest.raises(TenantMismatch):
        await ctx.send(Checked(tenant_id=other))
    # A generator that is begun in this tenant and closed by the collector of rubbish in another must not carry it over.
    asyncio.get_running_loop().call_soon(ticks(1).close)
    found.append(current_tenant())
    return found


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[Jobs]:
    jobs = Jobs(database=tmp_path / "jobs.db")
    yield jobs
    await jobs.stop(grace=0)
    jobs.close()


async def test_s32_every_handler_sees_its_own_tenant_wherever_it_looks(jobs: Jobs) -> None:
    wrong: list[str] = []
    seen: Counter[str] = Counter()

    def check(event: Checked, found: list[str]) -> None:
        seen[event.tenant_id] += 1
        wrong.extend(tenant for tenant in found if tenant != event.tenant_id)

    @jobs.task(on=Checked)
    async def on_the_loop(event: Checked, ctx: Context) -> None:
        check(event, await look_around(event, ctx))

    @jobs.task(on=Checked)
    def in_a_thread(event: Checked, ctx: Context) -> None:
        found = [current_tenant(), ctx.tenant_id, ctx.sync.step("step", current_tenant)]
        strange: list[Any] = []

        def alone() -> None:
            try:
                strange.append(current_tenant())
            except TenantRequired as error:
                strange.append(error)

        # A thread the handler starts by itself has no tenant rather than somebody's.
        thread = threading.Thread(target=alone)
        thread.start()
        thread.join()
        if not isinstance(strange[0], TenantRequired):
            found.append(str(strange[0]))
        check(event, found)

    @jobs.task(on=Checked, retry=Retry(max_attempts=2, initial=0))
    async def fails_first(event: Checked, ctx: Context) -> None:
        check(event, [current_tenant(), *ticks(2)])
        await asyncio.sleep(0)
        if ctx.attempt == 1:
            raise ValueError(current_tenant())
        check(event, [current_tenant()])

    @jobs.task(on=Checked, retry=Retry(max_attempts=2, initial=0), timeout=0.05)
    async def runs_out_of_time(event: Checked, ctx: Context) -> None:
        try:
            if ctx.attempt == 1:
                await asyncio.Event().wait()
        finally:
            check(event, [current_tenant(), *[tick async for tick in slow_ticks(1)]])

    @jobs.task(on=Checked)
    async def sleeps(event: Checked, ctx: Context) -> None:
        check(event, [current_tenant()])
        await ctx.sleep(0.01)
        check(event, [current_tenant()])

    await jobs.start(concurrency=60)
    await jobs.send_many([Checked(tenant_id=tenant, number=number) for number in range(EACH) for tenant in TENANTS])
    total = 5 * EACH * len(TENANTS)

    async def all_done() -> bool:
        with across_tenants(reason="a test counts"):
            return (await jobs.runs.count()).get("completed", 0) == total

    while not await all_done():  # noqa: ASYNC110 - rows
        await asyncio.sleep(0.02)
    assert wrong == []
    assert set(seen) == set(TENANTS)
    assert min(seen.values()) >= 7 * EACH
    # And the worker itself, from which all of them came, has none.
    with pytest.raises(TenantRequired):
        current_tenant()


async def test_s32_a_handler_in_a_process_gets_its_tenant_explicitly(jobs: Jobs) -> None:
    jobs.include(group)
    await jobs.start(concurrency=8)
    sent = await jobs.send_many([Isolated(tenant_id=tenant) for tenant in TENANTS])
    for tenant, one in zip(TENANTS, sent, strict=True):
        with tenant_context(tenant):
            assert await jobs.runs.wait(one.run_id, 30) == [tenant] * 3
    for task in group:
        task.sender = None


async def test_s32_cancelling_one_tenants_runs_leaves_the_others_theirs(jobs: Jobs) -> None:
    ended: list[tuple[str, str]] = []
    begun: list[str] = []
    gate = asyncio.Event()

    @jobs.task(on=Checked)
    async def wait(event: Checked) -> str:
        begun.append(event.tenant_id)
        try:
            await gate.wait()
        finally:
            await asyncio.sleep(0)
            ended.append((event.tenant_id, current_tenant()))
        return current_tenant()

    await jobs.start()
    sent = {
        tenant: await jobs.send(Checked(tenant_id=tenant), tags=["even" if number % 2 == 0 else "odd"])
        for number, tenant in enumerate(TENANTS)
    }
    await until_async(lambda: len(begun) == len(TENANTS))
    for tenant in TENANTS[:10]:
        with tenant_context(tenant):
            await jobs.runs.cancel(tag="even")
    await until_async(lambda: len(ended) == 5)
    gate.set()
    for number, tenant in enumerate(TENANTS):
        if number % 2 or number >= 10:
            with tenant_context(tenant):
                assert await jobs.runs.wait(sent[tenant].run_id, 30) == tenant
    assert all(own == seen for own, seen in ended)
    assert {own for own, _ in ended[:5]} == set(TENANTS[0:10:2])


# --- without an engine: ten thousand at once --------------------------------------------------------------------------

MANY = 10_000
"""The tasks of S32."""


class Abandoned(Exception):
    """Raised on purpose, out of the middle of a tenant's block."""


def expect(tenant: str | None) -> None:
    """Nobody but ``tenant`` is current, and where there is none, that is an error."""
    if tenant is None:
        with pytest.raises(TenantRequired):
            current_tenant()
    else:
        assert current_tenant() == tenant


async def wander(chance: random.Random, tenant: str | None) -> None:
    """Some steps a handler may take, each of which gives the loop to others, looking around after every one."""

    async def child() -> None:
        await asyncio.sleep(0)
        expect(tenant)

    for _ in range(4):
        await asyncio.sleep(0)
        expect(tenant)
        match chance.randrange(9):
            case 0 if tenant is not None:
                assert [tick async for tick in slow_ticks(2)] == [tenant, tenant]
            case 1 if tenant is not None:
                assert list(ticks(2)) == [tenant, tenant]
            case 2:
                await asyncio.gather(child(), child())
            case 3:
                other = chance.choice(TENANTS)
                with pytest.raises(Abandoned), across_tenants(reason="a test"):  # noqa: PT012
                    expect(None)
                    with tenant_context(other):
                        await asyncio.sleep(0)
                        expect(other)
                        raise Abandoned
            case 4:
                cancelled = asyncio.create_task(asyncio.Event().wait())
                await asyncio.sleep(0)
                cancelled.cancel()
                await asyncio.gather(cancelled, return_exceptions=True)
            case 5 if chance.random() < 0.2:
                await asyncio.to_thread(expect, tenant)
            case 6:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0):
                        await child()
            case 7 if tenant is not None:
                found: list[str] = []
                async with entered_async(found):
                    await child()
                assert found == [tenant, tenant]
            case 8:
                asyncio.get_running_loop().call_soon(expect, tenant)
            case _:
                pass
        expect(tenant)


@pytest.mark.timeout(300)
async def test_s32_ten_thousand_tasks(caplog: pytest.LogCaptureFixture) -> None:
    """Tasks with a tenant, tasks without one, and tasks that are cancelled in the middle of a tenant's block, all interleaved."""
    caplog.set_level("ERROR")
    seed = random.randrange(2**32)
    print(f"seed {seed}")

    async def one(number: int) -> None:
        own = random.Random(seed + number)
        tenant = None if number % 10 == 0 else TENANTS[number % len(TENANTS)]
        expect(None)
        if tenant is None:
            await wander(own, None)
        else:
            try:
                with tenant_context(tenant):
                    await wander(own, tenant)
                    if number % 10 == 1:
                        await asyncio.Event().wait()
                    if number % 10 == 2:
                        raise Abandoned
            finally:
                expect(None)

    async with asyncio.TaskGroup() as together:
        tasks = [together.create_task(quietly(one(number))) for number in range(MANY)]
        await until_async(lambda: sum(not task.done() for task in tasks) <= MANY // 10)
        cut_short = [task for task in tasks if not task.done()]
        assert len(cut_short) == MANY // 10
        for task in cut_short:
            task.cancel()
    assert sum(task.cancelled() for task in tasks) == MANY // 10
    expect(None)
    # What was called by the loop itself could only tell its log.
    assert caplog.text == ""


async def quietly(coroutine: Coroutine[Any, Any, None]) -> None:
    with suppress(Abandoned):
        await coroutine


def test_s32_threads_that_are_used_again_have_no_tenant_left() -> None:
    """A pool's thread is nobody's between two tenants, however the last one ended."""

    def visit(number: int) -> None:
        expect(None)
        tenant = TENANTS[number % len(TENANTS)]
        with suppress(Abandoned), tenant_context(tenant):
            expect(tenant)
            if number % 3 == 0:
                raise Abandoned
        if number % 5 == 0:
            with suppress(Abandoned), across_tenants(reason="a test"):
                expect(None)
                raise Abandoned
        expect(None)

    with ThreadPoolExecutor(16) as threads:
        for _ in threads.map(visit, range(MANY)):
            pass


def test_s32_loops_in_threads_do_not_meet() -> None:
    """Eight event loops at once, each with tenants of its own."""

    async def crowd(first: int) -> None:
        async def one(number: int) -> None:
            with tenant_context(f"loop-{first}-{number}"):
                await wander(random.Random(number), f"loop-{first}-{number}")

        await asyncio.gather(*map(one, range(100)))

    with ThreadPoolExecutor(8) as threads:
        for _ in threads.map(lambda first: asyncio.run(crowd(first)), range(8)):
            pass


async def test_s32_a_generator_belongs_to_who_asks_it() -> None:
    """Begun in one tenant and gone on with in another, it sees the one that is current when it runs, never both."""
    with tenant_context("begun"):
        blocking, async_ = ticks(3), slow_ticks(3)
        assert next(blocking) == "begun"
        assert await anext(async_) == "begun"
    with tenant_context("goes-on"):
        assert next(blocking) == "goes-on"
        assert await asyncio.create_task(anext_of(async_)) == "goes-on"
    with pytest.raises(TenantRequired):
        next(blocking)
    with pytest.raises(TenantRequired):
        await anext(async_)


async def anext_of(generator: AsyncIterator[str]) -> str:
    return await anext(generator)


def test_s32_a_process_that_is_started_has_no_tenant() -> None:
    """Neither a spawned process nor a pool's inherits the tenant of who started it: it is told."""
    with tenant_context("acme"), ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        assert processes.submit(tenant_or_none).result() is None
    expect(None)


def tenant_or_none() -> str | None:
    try:
        return current_tenant()
    except TenantRequired:
        return None
