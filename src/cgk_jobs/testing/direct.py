"""Running one attempt of a task at once, without the ledger: for tests of a handler's own logic."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

from pydantic import BaseModel

from cgk_jobs.app import Jobs
from cgk_jobs.clock import from_micros, to_micros
from cgk_jobs.engine.metadata import merged_metadata
from cgk_jobs.errors import InvalidTask, RunCancelled, Unsupported
from cgk_jobs.events import Event
from cgk_jobs.runtime.context import Services
from cgk_jobs.runtime.delivery import Claim
from cgk_jobs.runtime.entries import ChildCall, EventWait, JournalEntry
from cgk_jobs.runtime.execute import Attempt, Pipeline
from cgk_jobs.runtime.outcome import Completed, Failed, Suspended, Undoing
from cgk_jobs.runtime.processes import ProcessPool
from cgk_jobs.tasks.schedule import Tick
from cgk_jobs.tasks.task import Task
from cgk_jobs.tenancy.context import current_tenant
from cgk_jobs.testing.clock import TestClock
from cgk_jobs.wire.json import dumps, loads

__all__ = ["run_attempt"]


class _Journal:
    """The steps of one direct run, kept while it sleeps."""

    def __init__(self, steps: dict[str, Any]) -> None:
        self._steps = {
            name: JournalEntry(name, _stored(result), place) for place, (name, result) in enumerate(steps.items())
        }

    async def load(self, claim: Claim) -> list[JournalEntry]:
        """Every step finished before this pass."""
        del claim
        return list(self._steps.values())

    async def record(self, claim: Claim, entry: JournalEntry) -> bool:
        """Keep a step."""
        del claim
        self._steps[entry.name] = entry
        return True

    async def progress(self, claim: Claim, progress: str) -> bool:
        """Nobody looks at a direct run: its progress is checked by the context and not kept."""
        del claim, progress
        return True

    async def metadata(self, claim: Claim, changes: str) -> bool:
        """Checked as a run's own would be, and not kept."""
        del claim
        merged_metadata(None, changes)
        return True

    def step_transaction(self, connection: Any, claim: Claim) -> NoReturn:
        """There is no ledger to commit to."""
        raise _needs_ledger("ctx.step(connection=)")

    async def await_event(self, claim: Claim, entry: JournalEntry, wait: EventWait) -> NoReturn:
        """No event comes to a direct run."""
        raise _needs_ledger("ctx.wait_for")

    async def end_wait(self, claim: Claim, name: str, result: str) -> NoReturn:
        """No wait begins."""
        raise _needs_ledger("ctx.wait_for")

    async def spawn(
        self, claim: Claim, entry: JournalEntry, calls: list[ChildCall], *, first: int, concurrency: int | None
    ) -> NoReturn:
        """No worker would run them."""
        raise _needs_ledger("ctx.call")


def _stored(result: Any) -> str | None:
    """What the journal would have: of an event handed in, the answer to a wait for it."""
    if isinstance(result, Event):
        answer = {"event": result.event_name, "seq": 0, "nonce": 0, "version": result.event_version, "payload": result}
        return dumps(answer)
    return None if result is None else dumps(result)


def _needs_ledger(feature: str) -> Unsupported:
    return Unsupported(feature, "a direct run", "Send the event and let the harness work: await harness.drain().")


async def run_attempt(
    jobs: Jobs,
    clock: TestClock,
    task: Task[Any],
    given: BaseModel | Tick,
    *,
    attempt: int,
    steps: dict[str, Any],
) -> Any:
    """The handler's result, its middleware included; raises what the handler raised."""
    if not 1 <= attempt <= task.retry.max_attempts:
        raise ValueError(f"attempt={attempt}: task {task.id} makes 1 to {task.retry.max_attempts}")
    services = own_services(jobs)
    services = Services(
        journal=_Journal(steps),
        send=services.send,
        clock=clock,
        max_result_bytes=services.max_result_bytes,
        find_event=services.find_event,
        links=services.links,
        max_depth=services.max_depth,
    )
    threads = ThreadPoolExecutor(1, thread_name_prefix="cgk-jobs-direct")
    processes = ProcessPool(1)
    pipeline = Pipeline(services, threads=threads, processes=processes, on_start=_started)
    claim = _claim(task, given, attempt, clock.micros())
    loop = asyncio.get_running_loop()
    try:
        while True:
            running = Attempt(claim, task)
            outcome = await loop.create_task(pipeline.run(running), context=pipeline.context_of(claim.tenant_id))
            if isinstance(outcome, Suspended) and outcome.until is not None:
                clock.set(from_micros(max(outcome.until, clock.micros())))
                claim = claim._replace(token=claim.token + 1)
                continue
            break
    finally:
        threads.shutdown(wait=False)
        await asyncio.to_thread(processes.close)
    if isinstance(outcome, Completed):
        return None if outcome.result is None else loads(outcome.result)
    if isinstance(outcome, Failed | Undoing):
        raise outcome.error
    raise RunCancelled(f"task {task.id}: the attempt ended as {type(outcome).__name__.lower()}")


def own_services(jobs: Jobs) -> Services:
    """What the application hands to its handlers' contexts."""
    services: Services = vars(jobs)["_services"]
    return services


def _started(attempt: Attempt) -> None:
    """Timeouts are the worker's: a direct run has none."""


def _claim(task: Task[Any], given: BaseModel | Tick, attempt: int, now: int) -> Claim:
    name, version = "", 1
    if isinstance(given, Tick):
        if task.schedule is None:
            raise InvalidTask(f"task {task.id} has no schedule: give it its event or payload")
        tenant_id = given.tenant_id
        previous = None if given.previous_at is None else to_micros(given.previous_at)
        text = dumps(
            {
                "at": to_micros(given.scheduled_at),
                "timezone": given.timezone,
                "previous": previous,
                "missed": given.missed,
            }
        )
    else:
        expected = task.on or task.payload
        if expected is None or not isinstance(given, expected):
            wanted = "a Tick" if expected is None else expected.__name__
            raise InvalidTask(f"task {task.id} takes {wanted}, not {type(given).__name__}")
        tenant_id = getattr(given, "tenant_id", None) or current_tenant()
        text = given.model_dump_json()
        if isinstance(given, Event):
            name, version = given.event_name, given.event_version
    # The fence is above 1, so that steps handed in are answered from the journal.
    return Claim(
        seq=(now // 1000) << 15, nonce=0, token=2, tenant_id=tenant_id, task=task.id, queue=task.queue, attempt=attempt,
        event_seq=0, event_name=name, event_version=version, payload=text, tags=",".join(task.tags), expires_at=None,
        vstart=0.0, lane=0, jumped=0.0, created_at=now, slots=None,
    )  # fmt: skip
