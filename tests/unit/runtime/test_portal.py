"""Blocking callers lend a coroutine their thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from cgk_jobs.portal import LoopThread, has_calling_thread, on_callers_thread, wait_for
from cgk_jobs.tenancy import current_tenant, tenant_context


@pytest.fixture
def portal() -> Iterator[LoopThread]:
    portal = LoopThread()
    yield portal
    portal.close()


async def where() -> tuple[int, int]:
    """The loop's thread, and the one that does what the caller has to."""
    return threading.get_ident(), await on_callers_thread(threading.get_ident)


def test_the_caller_does_what_it_is_asked_for(portal: LoopThread) -> None:
    loop, caller = portal.call(where())
    assert caller == threading.get_ident() != loop


async def test_without_a_caller_it_is_done_where_it_is_asked() -> None:
    assert not has_calling_thread()
    assert await where() == (threading.get_ident(), threading.get_ident())


def test_errors_come_back_to_who_asked_and_to_the_caller(portal: LoopThread) -> None:
    def fail() -> None:
        raise LookupError("no such row")

    async def caught() -> str:
        try:
            await on_callers_thread(fail)
        except LookupError as error:
            return str(error)
        return ""

    assert portal.call(caught()) == "no such row"
    with pytest.raises(LookupError, match="no such row"):
        portal.call(on_callers_thread(fail))


def test_an_interrupt_in_the_callers_thread_ends_the_call_and_not_the_loop(portal: LoopThread) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        portal.call(on_callers_thread(interrupt))
    assert portal.call(where())[1] == threading.get_ident()


def test_each_of_several_callers_does_its_own(portal: LoopThread) -> None:
    found: list[tuple[int, int]] = []

    def call() -> None:
        found.append((threading.get_ident(), portal.call(where())[1]))

    callers = [threading.Thread(target=call) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 8
    assert all(caller == did for caller, did in found)


async def test_a_call_from_a_thread_of_the_loop_it_waits_for() -> None:
    loop = asyncio.get_running_loop()

    def handler() -> tuple[int, int, int]:
        return threading.get_ident(), *wait_for(where(), loop)

    thread, on_loop, caller = await asyncio.to_thread(handler)
    assert (on_loop, caller) == (threading.get_ident(), thread)


def test_the_callers_tenant_is_current_on_both_sides(portal: LoopThread) -> None:
    async def tenants() -> tuple[str, str]:
        return current_tenant(), await on_callers_thread(current_tenant)

    with tenant_context("acme"):
        assert portal.call(tenants()) == ("acme", "acme")


def test_what_is_under_way_when_it_is_closed_is_cancelled(portal: LoopThread) -> None:
    ended: list[str] = []
    tasks: list[asyncio.Task[None]] = []

    async def stay() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def begin() -> None:
        tasks.append(asyncio.create_task(stay()))
        await asyncio.sleep(0)

    portal.call(begin())
    portal.close()
    assert ended == ["cancelled"]
    assert portal.call(where())[1] == threading.get_ident()
