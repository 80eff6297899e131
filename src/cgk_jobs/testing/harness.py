"""The harness: an application's jobs under test, on the engine they run on in production."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from cgk_jobs.app import Jobs
from cgk_jobs.clock import from_micros
from cgk_jobs.engine.scheduler import Scheduler
from cgk_jobs.engine.states import State
from cgk_jobs.events import Event, registry
from cgk_jobs.portal import LoopThread
from cgk_jobs.providers.claim_loop import ClaimLoopProvider
from cgk_jobs.runs import Run
from cgk_jobs.sync import Blocking
from cgk_jobs.tasks.schedule import Tick
from cgk_jobs.tasks.task import Task
from cgk_jobs.tenancy.context import across_tenants, enter_scope, leave_scope, tenant_scope
from cgk_jobs.testing import sent as sent_events
from cgk_jobs.testing.borrowed import borrow
from cgk_jobs.testing.clock import START, TestClock
from cgk_jobs.testing.direct import run_attempt
from cgk_jobs.testing.drained import Drained, DrainFailed, DrainTimeout, Tally
from cgk_jobs.testing.recording import CrashPlan, Recording, RecordingStore, SentEvent
from cgk_jobs.testing.tenants import TenantLeak, TenantTrace, mentions

__all__ = ["JobsHarness"]


class JobsHarness:
    """``jobs`` (default: a new application) on a temporary file, under ``clock``, which only the test moves.

    An application handed in is on loan: the object stays the same, sends and runs on the test's ledger, and is as before
    after :meth:`close`. Nothing runs between drains::

        with JobsHarness(shop.jobs) as harness:
            await harness.jobs.send(OrderPlaced(tenant_id="acme", order_id="1"))
            drained = await harness.drain()
            harness.assert_sent(MailWanted, to="ann@example.org")

    ``folder``: where the ledger is kept, default a temporary one that :meth:`close` deletes. ``start``: the clock's first
    moment; schedules begin then. ``concurrency``: attempts at the same time. A task's ``timeout`` is real time.
    """

    def __init__(
        self,
        jobs: Jobs | None = None,
        *,
        folder: Path | None = None,
        clock: TestClock | None = None,
        start: datetime = START,
        concurrency: int = 100,
    ) -> None:
        self.clock = clock or TestClock(start)
        self._begun_at = self.clock.now()
        self._folder = None if folder is not None else tempfile.TemporaryDirectory(prefix="cgk-jobs-")
        self.folder = folder or Path(self._folder.name if self._folder else "")
        self._store = self._make_store()
        provider = ClaimLoopProvider("embedded", self._store)
        self._give_back: Callable[[], None]
        if jobs is None:
            self.jobs = Jobs(provider=provider, clock=self.clock)
            self._give_back = self.jobs.close
        else:
            self.jobs = jobs
            self._give_back = borrow(jobs, provider, self.clock)
        self._concurrency = concurrency
        self._portal = LoopThread()
        self._users = 0
        self._begun = False
        self._moved = False
        self._draining = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.clock.on_move(self._clock_moved)
        self._store.watch.start()

    def _make_store(self) -> Recording:
        return RecordingStore(self.folder / "jobs.db", self.clock)

    # -- opening and closing -----------------------------------------------------------------------------------------

    def __enter__(self) -> JobsHarness:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the application back and delete the temporary ledger."""
        self._store.watch.stop()
        self._portal.close()
        self._give_back()
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def sync(self) -> Blocking:
        """The same methods, blocking: ``harness.sync.drain()``, for tests without an event loop."""
        return Blocking(self, self._portal)

    # -- working -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def working(self) -> AsyncGenerator[None, None]:
        """Workers for the length of the block, for code that waits for results (``trigger_and_wait``).

        Moving the clock then makes ready what is due, fires schedules and does the upkeep without a drain.
        """
        self._users += 1
        mover: asyncio.Task[None] | None = None
        if self._users == 1:
            self._loop = asyncio.get_running_loop()
            await self._start()
            mover = self._loop.create_task(self._follow_clock(), name="cgk-jobs-test-clock")
        try:
            yield
        finally:
            self._users -= 1
            if mover is not None:
                mover.cancel()
                await asyncio.gather(mover, return_exceptions=True)
                self._loop = None
                await self.jobs.stop(0)

    async def _start(self) -> None:
        if not self._begun:
            self._begun = True
            await self._begin_schedules()
        # The harness fires schedules itself: start(scheduler=True) would refuse an application that has no tenant yet.
        await self.jobs.start(concurrency=self._concurrency, scheduler=False)

    async def _begin_schedules(self) -> None:
        # As if the application had started with the harness: ticks between then and the first drain are due in it.
        jobs, now = self.jobs, self.clock.now()
        self.clock.set(self._begun_at)
        await Scheduler(self._store, jobs.tasks, jobs.tenants.active, jobs.signals, self.clock).register()
        self.clock.set(now)

    async def _restart(self) -> None:
        self._store.crashed = False
        await self.jobs.stop(0)
        await self._start()

    def _clock_moved(self) -> None:
        self._moved = True
        if self._loop is not None:
            # A plain handler moves it from its thread.
            self._loop.call_soon_threadsafe(self._store.stir)

    async def _look_at_clock(self) -> None:
        self._moved = False
        running = self.jobs.running
        if running is not None:
            await running.fire_due()
            await running.upkeep()
            running.wake()

    async def _follow_clock(self) -> None:
        while True:
            await self._store.stirred()
            if self._draining:
                continue
            if self._store.crashed:
                await self._restart()
            if self._moved:
                await self._look_at_clock()

    # -- draining ----------------------------------------------------------------------------------------------------

    async def drain(
        self, *, with_scheduled: bool = False, raise_failures: bool = False, timeout: float = 30.0
    ) -> Drained:
        """Run until nothing is ready or running, and say how the attempts ended.

        Schedules that are due fire, overdue runs expire. What is due later stays, unless ``with_scheduled``: then the
        clock moves to the next moment a run is due, again and again, until none waits (schedules fire on the way). Raises
        ``DrainFailed`` that lists the failures, if ``raise_failures`` and a run's last attempt failed; ``DrainTimeout``
        after ``timeout`` real seconds.
        """
        tally = self._store.tally = Tally()
        self._draining = True
        try:
            async with asyncio.timeout(timeout):
                async with self.working():
                    await self._until_quiet()
                    while with_scheduled and self._store.next_due is not None:
                        self.clock.set(from_micros(max(self._store.next_due, self.clock.micros())))
                        await self._until_quiet()
        except TimeoutError:
            raise DrainTimeout(await self._unfinished(timeout)) from None
        finally:
            self._draining = False
        drained = tally.result()
        if raise_failures and drained.failures:
            raise DrainFailed(drained)
        return drained

    async def _until_quiet(self) -> None:
        while True:
            if self._store.crashed:
                await self._restart()
            await self._look_at_clock()
            mark = self._store.exchanges
            running = self.jobs.running
            if running is None:
                raise DrainTimeout("the application was stopped while it was drained")
            running.wake()
            quiet = await self._store.looked_after(mark) and running.idle and not self._store.in_flight
            if quiet and not self._moved:
                return

    async def _unfinished(self, timeout: float) -> str:
        with across_tenants(reason="a test's drain did not end"):
            runs = await self.jobs.runs.list(state="running", limit=10)
        names = ", ".join(f"{run.task} of {run.tenant_id} (run {run.id})" for run in runs)
        return f"not at rest after {timeout:g} s. Running: {names or 'nothing; tasks may start each other for ever'}"

    # -- what was sent -----------------------------------------------------------------------------------------------

    @property
    def sent(self) -> Sequence[SentEvent]:
        """Everything that was sent and stored, in order; duplicates and refused sends are not in it."""
        return tuple(self._store.sent)

    def forget_sent(self) -> None:
        """Begin anew: later assertions see only what is sent from now on."""
        self._store.sent.clear()

    def assert_sent(self, what: type[Event] | Task[Any] | str, *, count: int | None = None, **fields: Any) -> SentEvent:
        """Assert that an event (or a task's payload) with these fields was sent, ``count`` times if given.

        Returns the first. The failure lists everything that was sent.
        """
        __tracebackhide__ = True
        return sent_events.assert_sent(self._store.sent, what, count, fields, self._class_of)

    def refute_sent(self, what: type[Event] | Task[Any] | str, **fields: Any) -> None:
        """Assert that no such event was sent. The failure lists everything that was."""
        __tracebackhide__ = True
        sent_events.refute_sent(self._store.sent, what, fields, self._class_of)

    def _class_of(self, one: SentEvent) -> type[BaseModel] | None:
        if one.name:
            return self.jobs.events.find(one.name) or registry.find(one.name)
        task = self.jobs.tasks.find(one.task or "")
        return None if task is None else task.payload

    # -- single tasks, crashes ---------------------------------------------------------------------------------------

    async def run_task(
        self, task: Task[Any], given: BaseModel | Tick, *, attempt: int = 1, steps: dict[str, Any] | None = None
    ) -> Any:
        """Run one attempt of ``task`` at once, its tenant current, and return the handler's result.

        Raises what the handler raised. No run is stored, no retry follows; ``steps`` are answered as if an earlier attempt
        had finished them (an event answers a wait for it); a sleep moves the clock; what the handler sends is stored and seen
        by :meth:`assert_sent`. A call of another task needs the ledger: send the event and drain.
        """
        return await run_attempt(self.jobs, self.clock, task, given, attempt=attempt, steps=steps or {})

    def crash_at_step(self, task: Task[Any], step: int = 1, *, moment: Literal["before", "after"] = "after") -> None:
        """Let the worker die at the ``step``-th step ``task`` finishes from now on, before or after it is journalled.

        As after ``kill -9``, all runs of the worker are taken back, each spends an attempt, and another worker goes on in
        the same drain. The handler is unwound by :class:`cgk_jobs.testing.Crash`.
        """
        if step < 1:
            raise ValueError(f"crash_at_step(step={step}): steps are counted from 1")
        self._store.plans.append(CrashPlan(task.id, step, moment))

    # -- tenants -----------------------------------------------------------------------------------------------------

    def assert_no_tenant_leaks(self) -> None:
        """Assert that every send, step, progress and log line so far was for the tenant that was current.

        Code inside ``across_tenants`` counts as a leak: a handler meant to cross over is tested apart. Raises
        ``TenantLeak``.
        """
        __tracebackhide__ = True
        self._store.watch.check()

    async def assert_tenants_alike(
        self, seed: Callable[[str], Event | Sequence[Event]], *, tenants: Sequence[str] = ("tenant-a", "tenant-b")
    ) -> Drained:
        """Send ``seed(tenant_id)`` for each tenant, interleaved, drain, and assert that all fared alike and apart.

        Alike: the same runs, results, steps and logs but for the tenant's own id. Apart: nothing of one names another, and
        no write crossed. Raises ``TenantLeak`` that shows the difference.
        """
        for events in zip(*(_listed(seed(tenant)) for tenant in tenants), strict=True):
            for event in events:
                await self.jobs.send(event)
        drained = await self.drain(with_scheduled=True)
        runs = {tenant: await self.runs_of(tenant) for tenant in tenants}
        found = [
            line for tenant in tenants for other in tenants if other != tenant for line in mentions(other, runs[tenant])
        ]
        traces = {tenant: TenantTrace.of(tenant, runs[tenant]) for tenant in tenants}
        first = traces[tenants[0]]
        for tenant, trace in traces.items():
            if trace != first:
                found.append(
                    f"{tenant} fared otherwise than {tenants[0]}:\n    " + "\n    ".join(trace.lines)
                    + "\n  instead of\n    " + "\n    ".join(first.lines)
                )  # fmt: skip
        if found:
            raise TenantLeak("tenants are not alike and apart:\n  " + "\n  ".join(found))
        self.assert_no_tenant_leaks()
        return drained

    async def runs_of(self, tenant_id: str, *, state: State | None = None) -> list[Run]:
        """A tenant's runs with steps, attempts and log, oldest first."""
        token = enter_scope(tenant_scope(tenant_id))
        try:
            page = await self.jobs.runs.list(state=state, limit=1_000)
            return [await self.jobs.runs.get(run.id) for run in reversed(page.runs)]
        finally:
            leave_scope(token)


def _listed(events: Event | Sequence[Event]) -> Sequence[Event]:
    return (events,) if isinstance(events, Event) else events
