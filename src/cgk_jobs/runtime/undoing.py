"""Sagas: a run that has failed for good undoes its finished steps, the last first, and then is failed.

The pass that undoes is one of its own, as nothing but the handler knows how: the handler runs again from its first line,
finished steps answer and bring their ``undo``, and at the first unfinished operation it is unwound. Each undo is a step of
the journal itself (``undo:NAME``), tried by the task's retry policy, three times at least; a try counts from its beginning,
so an undo that kills its worker comes to an end too. One that can't be done is reported, and the others are done all the same.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from cgk_jobs.errors import StaleClaim
from cgk_jobs.runtime.history import UNDO
from cgk_jobs.runtime.outcome import Failed, describe_error
from cgk_jobs.runtime.stepping import StepOptions, run_step
from cgk_jobs.tasks.policy import Retry

if TYPE_CHECKING:
    from cgk_jobs.runtime.context import Context

__all__ = ["has_undoable", "undo_steps"]


LEAST_TRIES = 3
"""A task that is tried once still has its steps undone if a worker dies meanwhile."""


async def has_undoable(ctx: Context) -> bool:
    """Whether a finished step of the run is to be undone when it fails."""
    entries = ctx.history.entries if ctx.history.entries is not None else await ctx.history.load()
    return any(entry.undoable and not entry.pending and not entry.failed for entry in entries.values())


async def undo_steps(ctx: Context, policy: Retry) -> Failed:
    """Undo what the handler's pass has brought, last first; how the run ends. Raises ``Suspend`` between two tries."""
    history = ctx.history
    entries = await history.load()
    failures: list[str] = []
    policy = replace(policy, max_attempts=max(policy.max_attempts, LEAST_TRIES))
    undos = {undo.step: undo for undo in history.undos}
    undoable = [entry for entry in entries.values() if entry.undoable and not entry.pending and not entry.failed]
    for entry in sorted(undoable, key=lambda one: one.place, reverse=True):
        undo = undos.get(entry.name)
        if undo is None:
            failures.append(f"undo of {entry.name!r}: the handler did not come to this step again")
            continue
        name = UNDO + entry.name.replace("#", ".")
        try:
            await run_step(ctx, name, undo.call, StepOptions(retry=policy, count_first=True), undoing=True)
        except (StaleClaim, asyncio.CancelledError):
            raise
        except Exception as error:
            ctx.log.error("step %s can't be undone: %s", entry.name, error)
            failures.append(f"undo of {entry.name!r}: {describe_error(error)}")
    text = "; ".join([ctx.claim.failing or "failed", *failures])
    return Failed(RuntimeError(text), final=True, text=text)
