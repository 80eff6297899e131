"""A worker: claims runs, executes them, settles them, and drains when it stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cgk_jobs import signals
from cgk_jobs.clock import Clock, monotonic
from cgk_jobs.engine.deadlines import Deadlines
from cgk_jobs.engine.long_runs import write_logs
from cgk_jobs.engine.permits import Ended, Permits
from cgk_jobs.engine.records import Appetite, Budgets, Claim, Settlement
from cgk_jobs.engine.settling import budgets_of, failure_of, settlement_of
from cgk_jobs.engine.settling_apart import is_refusal, settle_apart
from cgk_jobs.engine.store import Store, WorkerSeat
from cgk_jobs.engine.telling import tell_end
from cgk_jobs.errors import JobsError
from cgk_jobs.runtime.context import Services
from cgk_jobs.runtime.execute import Attempt, Pipeline
from cgk_jobs.runtime.outcome import Failed, Outcome
from cgk_jobs.runtime.processes import ProcessPool
from cgk_jobs.signals import Signals
from cgk_jobs.tasks.registry import TaskRegistry
from cgk_jobs.wire.ids import to_id

__all__ = ["Worker"]

_logger = logging.getLogger("cgk_jobs.engine")

POLL = 0.2
"""Seconds after which a worker looks for work without having been woken."""
DEAF_FOR = 5.0
"""Seconds a handler may take to end once it was told to."""


class Worker:
    """Works for one application on the running loop. ``concurrency``: attempts at the same time."""

    def __init__(
        self,
        store: Store,
        tasks: TaskRegistry,
        services: Services,
        emitter: Signals,
        clock: Clock,
        *,
        queues: Sequence[str] | None,
        concurrency: int,
        lease: float,
    ) -> None:
        self._store = store
        self._tasks = tasks
        self._emitter = emitter
        self._clock = clock
        self._queues = tuple(queues) if queues else None
        self.concurrency = concurrency
        self._lease = lease
        self._running: dict[int, Attempt] = {}
        self._settlements: list[Settlement] = []
        self._room = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._look = True
        self._stopping = False
        self._jitter = random.Random()  # noqa: S311
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="cgk-jobs-handler")
        self._processes = ProcessPool()
        self._processes.on_start = self._note_start
        self._pipeline = Pipeline(services, threads=self._threads, processes=self._processes, on_start=self._note_start)
        self._seat: WorkerSeat | None = None
        self._main: asyncio.Task[None] | None = None
        self._upkeep: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._deadlines = Deadlines(self._running, self._loop)
        self._silence: list[Any] = []
        self._known_version = -1
        self._appetite_tasks: dict[str, Budgets | None] = {}
        self._permits = Permits()
        self.claims_by_itself = True
        """Whether it claims all it has room for, or only what it is permitted to (``claim_one``)."""
        self.started = 0
        """Attempts begun."""
        self.looked_at = monotonic()
        """When it last claimed or could have claimed (monotonic seconds)."""
        self.next_due: int | None = None
        """When a run is due next, as of the last look (microseconds since 1970 UTC)."""
        self._keeping = asyncio.Lock()

    # -- starting and stopping ---------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take a seat at the ledger and begin to claim."""
        seat = self._seat = await self._store.take_seat(self.queues, self.concurrency, self._lease)
        seat.listen(self.wake)
        self._silence.append(self._store.listen(self))
        await self._rescue()
        self._main = self._loop.create_task(self._work(seat.id), name="cgk-jobs-worker")
        self._upkeep = [
            self._loop.create_task(self._beat(seat.id), name="cgk-jobs-heartbeat"),
            self._loop.create_task(write_logs(self._store, self._running), name="cgk-jobs-logs"),
        ]
        self._emitter.emit(signals.WORKER_STARTED, "platform", worker=seat.id, concurrency=self.concurrency)

    async def stop(self, grace: float) -> None:
        """Claim nothing more, give running attempts ``grace`` seconds, put back what is left without spending an attempt."""
        self._stopping = True
        self.wake()
        give_up_at = monotonic() + grace
        while self._running and monotonic() < give_up_at:
            runners = [attempt.runner for attempt in self._running.values() if attempt.runner is not None]
            await asyncio.wait(runners, timeout=max(give_up_at - monotonic(), 0), return_when=asyncio.FIRST_COMPLETED)
        for attempt in tuple(self._running.values()):
            attempt.end("drain")
        if self._running:
            runners = [attempt.runner for attempt in self._running.values() if attempt.runner is not None]
            await asyncio.wait(runners, timeout=DEAF_FOR)
        # A handler that does not let itself be ended must not keep the process: its run is put back with the seat.
        self._running.clear()
        for task in self._upkeep:
            task.cancel()
        self.wake()
        if self._main is not None:
            await self._main
        await asyncio.gather(*self._upkeep, return_exceptions=True)
        self._deadlines.stop()
        if self._timer is not None:
            self._timer.cancel()
        for silence in self._silence:
            silence()
        self._permits.end()
        if self._seat is not None:
            await self._seat.leave()
            self._emitter.emit(signals.WORKER_STOPPED, "platform", worker=self._seat.id)
        self._threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._processes.close)

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues it claims from, in this order."""
        return self._queues or tuple(dict.fromkeys(task.queue for task in self._tasks)) or ("default",)

    # -- hints from the store ----------------------------------------------------------------------------------------

    def ready(self) -> bool:
        """Runs may be ready."""
        if self._stopping:
            return False
        self.wake()
        return len(self._running) < self.concurrency

    def finished(self, seqs: Sequence[int]) -> None:
        """Runs ended: nothing to do for a worker."""

    def wake(self) -> None:
        """Look for work now. From any thread."""
        self._look = True
        if asyncio._get_running_loop() is self._loop:  # no exception where there is none
            self._room.set()
        else:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to wake
                self._loop.call_soon_threadsafe(self._room.set)

    async def claim_one(self, queue: str, *, until: float | None = None) -> Ended | None:
        """Claim one run of ``queue``, in fair order, and wait for the end of its attempt; ``None``: there was none.

        An attempt that has not ended at ``until`` (monotonic seconds) is ended and its run put back, no attempt spent.
        For a worker that does not claim by itself; one that does answers ``None``.
        """
        if self.claims_by_itself or self._stopping:
            self.wake()
            return None
        answer = self._permits.add(queue)
        self.wake()
        if until is not None:
            await asyncio.wait([answer], timeout=max(until - monotonic(), 0))
            if not answer.done() and (seq := self._permits.take_back(answer)) in self._running:
                self._running[seq].end("drain")
        # Who asked may be gone, by a connection that broke: the attempt goes on, and its outcome is in the ledger.
        return await asyncio.shield(answer)

    @property
    def idle(self) -> bool:
        """Nothing runs and nothing waits to be settled."""
        return not self._running and not self._settlements

    @property
    def has_room(self) -> bool:
        """A slot is free that nobody has a permit for yet."""
        return len(self._running) + self._permits.waiting < self.concurrency

    # -- the loop ----------------------------------------------------------------------------------------------------

    async def _work(self, worker: int) -> None:
        room = self._room
        while not self._stopping or self._running or self._settlements:
            if not self._settlements and not (self._look and self._free()):
                self._set_timer(POLL)
                await room.wait()
            room.clear()
            free = self._free()
            look, self._look = self._look and free > 0, self._look and free <= 0
            settlements, self._settlements = self._settlements, []
            if not settlements and not look:
                continue
            appetite = self._appetite(free) if look else None
            if appetite is None and not settlements:
                self.looked_at = monotonic()  # it could have claimed, had it been permitted to
                continue
            try:
                answer = await self._store.exchange(worker, settlements, appetite)
            except Exception as error:
                await self._refused(worker, settlements, error)
                continue
            self._settled(settlements, answer.stale)
            if look:
                self.looked_at = monotonic()
            if appetite is not None and not self.claims_by_itself:
                self._permits.claimed(appetite.queues[0], appetite.count, answer.claims, more=answer.more)
                self._look = self._look or (self._permits.waiting > 0 and not self._stopping)
            for claim in answer.claims:
                self._begin(claim)
            if answer.more:
                self._look = True
                self._store.ring()
            self._plan(answer.next_due)

    async def _refused(self, worker: int, settlements: Sequence[Settlement], error: Exception) -> None:
        """An exchange failed, and nothing of it was written. The same again, once the ledger answers; what it refuses, apart."""
        if is_refusal(error):
            _logger.error("the ledger refuses what this worker asks", exc_info=error)
            apart = await settle_apart(self._store, worker, settlements, self._failure)
            self._settled(apart.written, apart.stale)
            for claim in apart.given_up:
                self._permits.lost(claim)
            settlements = apart.left
        else:
            _logger.error("the ledger does not answer: %s", error)
        self._settlements[:0] = settlements
        self._look = True
        await asyncio.sleep(self._jitter.uniform(0.2, 0.5))

    def _settled(self, written: Sequence[Settlement], stale: Sequence[Claim]) -> None:
        self._permits.settled(written, stale)
        for claim in stale:
            self._emitter.emit(signals.CLAIM_LOST, claim.tenant_id, run_id=to_id(claim.seq, claim.nonce))
            _logger.warning("run %s was taken over by another worker", to_id(claim.seq, claim.nonce))

    def _appetite(self, free: int) -> Appetite | None:
        if self.claims_by_itself:
            return Appetite(self.queues, free, self._known_tasks())
        wanted = self._permits.wanted(free)
        return None if wanted is None else Appetite(wanted[:1], wanted[1], self._known_tasks())

    def _free(self) -> int:
        return 0 if self._stopping else self.concurrency - len(self._running)

    def _plan(self, next_due: int | None) -> None:
        self.next_due = next_due
        if next_due is not None and not self._clock.manual:
            self._set_timer(max(next_due - self._clock.micros(), 0) / 1e6)

    def _set_timer(self, delay: float) -> None:
        when = self._loop.time() + min(delay, POLL)
        if self._timer is not None and not self._timer.cancelled():
            if self._loop.time() <= self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self.wake)

    def _known_tasks(self) -> dict[str, Budgets | None]:
        if self._known_version != self._tasks.version:
            self._known_version = self._tasks.version
            self._appetite_tasks = {task.id: budgets_of(task) for task in self._tasks}
        return self._appetite_tasks

    # -- one attempt -------------------------------------------------------------------------------------------------

    def _begin(self, claim: Claim) -> None:
        try:
            attempt = Attempt(claim, self._tasks[claim.task])
            context = self._pipeline.context_of(claim.tenant_id)
        except Exception as error:
            self._settlements.append(self._failure(claim, error))
            return
        self._running[claim.seq] = attempt
        self.started += 1
        attempt.runner = self._loop.create_task(self._attempt(attempt), context=context)

    async def _attempt(self, attempt: Attempt) -> None:
        claim = attempt.claim
        outcome: Outcome
        settlement: Settlement | None
        try:
            outcome = await self._pipeline.run(attempt)
            now, chance = self._clock.micros(), self._jitter.random()
            settlement = settlement_of(attempt, outcome, now, chance, known=claim.task in self._tasks)
        except BaseException as error:
            # Nobody foresaw it. Without an ending the run would hold its slot for as long as this worker lives.
            outcome, settlement = Failed(error), self._failure(claim, error)
        if self._running.pop(claim.seq, None) is None:
            return
        if settlement is not None:
            self._settlements.append(settlement)
        else:
            self._permits.lost(claim)
        if self._emitter.active:
            tell_end(self._emitter, claim, outcome, settlement)
        self._look = True
        self._room.set()

    def _failure(self, claim: Claim, error: BaseException) -> Settlement:
        return failure_of(claim, self._tasks.find(claim.task), error, self._clock.micros(), self._jitter.random())

    def _note_start(self, attempt: Attempt) -> None:
        self._deadlines.watch(attempt)
        if self._emitter.active:
            claim = attempt.claim
            self._emitter.emit(
                signals.RUN_STARTED, claim.tenant_id, run_id=to_id(claim.seq, claim.nonce), task=claim.task,
                attempt=claim.attempt, event_id=to_id(claim.event_seq, claim.nonce),
            )  # fmt: skip

    def cancel(self, seq: int) -> None:
        """End an attempt of this worker because its run was cancelled."""
        attempt = self._running.get(seq)
        if attempt is not None:
            attempt.end("cancel")

    # -- upkeep ------------------------------------------------------------------------------------------------------

    async def _beat(self, worker: int) -> None:
        """Heartbeats, the rescue of others, and cancellations asked for elsewhere."""
        pause = min(self._lease / 3, 0.5)
        beat_at = 0.0
        while True:
            try:
                if monotonic() >= beat_at:
                    beat_at = monotonic() + self._lease / 3
                    if not await self._keep_seat(worker):
                        return
                    await self._rescue()
                if self._running:
                    for seq in await self._store.cancels_asked(worker):
                        self.cancel(seq)
            except (JobsError, OSError) as error:
                _logger.error("the ledger does not answer: %s", error)
            except Exception:
                _logger.exception("a heartbeat failed")
            await asyncio.sleep(pause)

    async def revive(self) -> None:
        """Make sure of the seat, in a process that may have slept for longer than its lease."""
        await self._keep_seat(None)

    async def _keep_seat(self, worker: int | None) -> bool:
        """Beat for ``worker``, or whoever has the seat. False: it was given up, and another one has the seat now."""
        async with self._keeping:
            seat = self._seat
            if seat is not None and worker not in (None, seat.id):
                return False
            if seat is not None and await self._store.beat(seat.id):
                return True
            # One that works on call sleeps between calls, longer than its lease: nothing has gone wrong.
            await self._start_over(logging.ERROR if worker is not None else logging.INFO)
            return False

    async def _rescue(self) -> None:
        runs = await self._store.rescue(self._lease)
        if runs:
            self._emitter.emit(signals.WORKER_RESCUED, "platform", runs=runs)

    async def _start_over(self, level: int) -> None:
        # This process was stopped for longer than its lease, and its runs went to others.
        _logger.log(level, "this worker was given up for dead; its attempts are void. It takes a new seat")
        for attempt in tuple(self._running.values()):
            attempt.end("lost")
        # Whatever they do from now on is refused, so a handler that won't end has no claim to hold the others up.
        for attempt in self._running.values():
            self._permits.lost(attempt.claim)
        self._running.clear()
        seat, self._seat = self._seat, None
        if seat is not None:
            await seat.leave()
        self._stopping = True
        self.wake()
        if self._main is not None:
            await self._main
        self._stopping = False
        new = self._seat = await self._store.take_seat(self.queues, self.concurrency, self._lease)
        new.listen(self.wake)
        self._main = self._loop.create_task(self._work(new.id), name="cgk-jobs-worker")
        self._upkeep.append(self._loop.create_task(self._beat(new.id), name="cgk-jobs-heartbeat"))
        self.wake()
