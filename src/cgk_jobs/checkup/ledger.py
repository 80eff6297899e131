"""What the ledger tells, whichever engine holds it: who works, what waits, which schedules stand still, what has failed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from cgk_jobs.checkup.findings import Finding, bad, fine, mind
from cgk_jobs.clock import Clock, from_micros
from cgk_jobs.engine.reads import RunFilter
from cgk_jobs.engine.store import Store
from cgk_jobs.errors import InvalidSchedule
from cgk_jobs.tasks.schedule import Cron

__all__ = ["look_at_ledger"]

SILENT = 60.0
"""Seconds after which a worker that has not beaten is dead, or stopped."""
WAITS = 30.0
"""Seconds a ready run waits before it is said to."""
FAILED_WITHIN = timedelta(days=1)
_MICRO = 1_000_000


async def look_at_ledger(store: Store, clock: Clock, *, on_call: bool) -> list[Finding]:
    """Read-only. ``on_call``: the host runs the application only while it is called, so that nobody works between calls."""
    now = clock.micros()
    counts = await store.reads.count(RunFilter(None, unfinished=True))
    workers = [worker for worker in await store.reads.workers() if now - worker.beat_at < SILENT * _MICRO]
    queued = counts.get("queued", 0)
    return [
        _workers(len(workers), queued, on_call=on_call),
        *await _backlog(store, now, queued),
        *await _paused(store),
        *await _schedules(store, now),
        *await _failures(store, now),
    ]


def _workers(alive: int, queued: int, *, on_call: bool) -> Finding:
    if alive:
        return fine("workers", f"{alive} at work")
    if on_call:
        return fine("workers", "none between calls, as this host has it")
    if queued:
        return bad(
            "workers",
            f"none, and {queued:,} runs are ready",
            "start one: cgk jobs work, or jobs.lifespan in the web application",
        )
    return mind("workers", "none", "start one: cgk jobs work, or jobs.lifespan in the web application")


async def _backlog(store: Store, now: int, queued: int) -> list[Finding]:
    if not queued:
        return [fine("backlog", "nothing waits")]
    (oldest, *_) = [*await store.reads.runs(RunFilter(None, state="queued"), before=None, count=1), None]
    running = (await store.reads.count(RunFilter(None, unfinished=True))).get("running", 0)
    waits = 0.0 if oldest is None else (now - oldest.created_at) / _MICRO
    if waits > WAITS and not running:
        return [
            bad(
                "backlog", f"{queued:,} runs are ready, the newest for {waits:,.0f} s, and none runs",
                "look whether workers serve their queues (cgk jobs queues) and their tenants are not paused (cgk jobs tenants)",
            )
        ]  # fmt: skip
    return [fine("backlog", f"{queued:,} runs are ready, {running:,} run")]


async def _paused(store: Store) -> list[Finding]:
    paused = await store.reads.paused()
    if not paused:
        return []
    names = ", ".join(f"{one.kind} {one.name}" for one in paused[:5])
    return [
        mind(
            "pauses",
            f"paused: {names}{', …' if len(paused) > 5 else ''}",
            "resume what need not wait: cgk jobs queues, cgk jobs schedules",
        )
    ]


async def _schedules(store: Store, now: int) -> list[Finding]:
    records = await store.reads.schedules()
    late: list[str] = []
    for record in records:
        try:
            cron = Cron(record.expression, record.timezone)
            due = cron.next_after(cron.next_after(from_micros(record.last_at)))
        except InvalidSchedule:
            continue  # of a code that is not this one's
        if due < from_micros(now) - timedelta(minutes=1):
            late.append(record.id)
    if late:
        names = ", ".join(sorted(set(late))[:5])
        return [
            bad(
                "schedules", f"{len(late)} have missed two ticks: {names}{', …' if len(late) > 5 else ''}",
                "start a process with the scheduler (cgk jobs work), or look at the provider's clock",
            )
        ]  # fmt: skip
    return [fine("schedules", f"{len(records)} on time")] if records else []


async def _failures(store: Store, now: int) -> list[Finding]:
    since = now - round(FAILED_WITHIN.total_seconds() * _MICRO)
    failed: Sequence[object] = await store.reads.runs(
        RunFilter(None, state="failed", since=since), before=None, count=101
    )
    if not failed:
        return [fine("failures", "none of the last day's runs")]
    many = "more than 100" if len(failed) > 100 else str(len(failed))
    return [
        mind(
            "failures",
            f"{many} of the last day's runs",
            "look at them: cgk jobs runs --state failed --all-tenants; again: cgk jobs retry",
        )
    ]
