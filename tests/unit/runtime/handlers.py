"""Handlers that run in processes of their own: a child imports them from here."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from cgk_jobs import Event, NonRetryable, Retry, RetryAfter, TaskGroup, current_tenant
from cgk_jobs.runtime.processes import ProcessContext

group = TaskGroup()


UNSTORABLE: dict[str, object] = {"nul": "a\x00b", "surrogate": "\ud800", "thing": object()}


class Crunch(Event, name="runtime.crunch"):
    what: str
    place: str = ""


@group.task(on=Crunch, isolation="process", retry=Retry(max_attempts=3, initial=10, jitter=0, give_up_on=(KeyError,)))
def crunch(event: Crunch, ctx: ProcessContext) -> dict[str, object]:
    if event.what == "raise":
        raise ValueError("no such number")
    if event.what == "give up":
        raise KeyError("gone")
    if event.what == "final":
        raise NonRetryable("never")
    if event.what == "later":
        raise RetryAfter(77)
    if event.what == "step":
        ctx.step("x", print)
    if event.what == "exit" and ctx.attempt == 1:
        os._exit(3)
    if event.what == "hang":
        Path(event.place).write_text(str(os.getpid()))
        threading.Event().wait()
    if event.what in UNSTORABLE:
        return {"page": UNSTORABLE[event.what]}
    ctx.log.info("crunching %s", event.what)
    ctx.progress(0.5, "half")
    ctx.metadata(rows=5)
    return {"tenant": current_tenant(), "attempt": ctx.attempt, "pid": os.getpid()}


@group.task(on=Crunch, id="hasty", isolation="process", timeout=0.2, retry=Retry(max_attempts=1))
def hasty(event: Crunch) -> None:
    threading.Event().wait()
