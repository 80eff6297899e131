"""From how an attempt ended to what the ledger writes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cgk_jobs.engine.budgets import draws_of
from cgk_jobs.engine.holds import unknown_task_hold
from cgk_jobs.engine.records import Budgets, LogLine, Settlement
from cgk_jobs.runtime.execute import Attempt
from cgk_jobs.runtime.outcome import Outcome, PutBack, Suspended, what_next
from cgk_jobs.tasks.task import Task
from cgk_jobs.wire.json import dumps

__all__ = ["budgets_of", "settlement_of"]


def budgets_of(task: Task[Any]) -> Budgets | None:
    """The limits of a task; ``None`` for one without."""
    return Budgets(task.concurrency, task.rates) if task.concurrency or task.rates else None


def settlement_of(
    attempt: Attempt,
    outcome: Outcome,
    lines: Sequence[tuple[int, str, str]],
    now: int,
    chance: float,
    *,
    known: bool,
) -> Settlement | None:
    """What is to be written at ``now`` (microseconds); ``None``: nothing.

    ``chance`` (0 to 1) decides the jitter of a retry; ``known``: whether this process still has the task.
    """
    claim, declared = attempt.claim, attempt.declared
    following = what_next(outcome, declared.retry, claim.attempt, now, chance)
    if following is None:
        return None
    kept = None
    if isinstance(outcome, Suspended) and claim.slots is not None:
        held = [draw.key for draw in draws_of(claim, budgets_of(declared), None) if draw.hold_while_waiting]
        kept = dumps(held) if held else None
    hold = following.hold
    if isinstance(outcome, PutBack) and hold is None and not known:
        hold = unknown_task_hold(claim.task)
    return Settlement(
        claim, following.state, following.attempt, following.result, following.error, following.due_at, hold,
        following.outcome, tuple(LogLine(*line) for line in lines), kept, following.failing,
    )  # fmt: skip
