"""From how an attempt ended to what the ledger writes of it."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from cgk_jobs.engine.budgets import draws_of
from cgk_jobs.engine.holds import unknown_task_hold
from cgk_jobs.engine.records import Budgets, Claim, LogLine, Settlement
from cgk_jobs.runtime.execute import Attempt
from cgk_jobs.runtime.outcome import (
    Completed,
    Failed,
    Outcome,
    PutBack,
    Suspended,
    after_failure,
    describe_error,
    what_next,
)
from cgk_jobs.tasks.policy import Retry
from cgk_jobs.tasks.task import Task
from cgk_jobs.wire.ids import to_id
from cgk_jobs.wire.json import dumps

__all__ = ["budgets_of", "failure_of", "settlement_of"]

_logger = logging.getLogger("cgk_jobs.engine")


def budgets_of(task: Task[Any]) -> Budgets | None:
    """The limits of a task; ``None`` for one without."""
    return Budgets(task.concurrency, task.rates) if task.concurrency or task.rates else None


def settlement_of(
    attempt: Attempt,
    outcome: Outcome,
    now: int,
    chance: float,
    *,
    known: bool,
) -> Settlement | None:
    """What is to be written at ``now`` (microseconds), the attempt's last lines with it; ``None``: nothing.

    ``chance`` (0 to 1) decides the jitter of a retry; ``known``: whether this process still has the task.
    """
    claim, declared = attempt.claim, attempt.declared
    lines = () if attempt.context is None else attempt.context.take_lines()
    if type(outcome) is Completed and not lines:
        return Settlement(claim, "completed", claim.attempt, outcome.result)
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


def failure_of(claim: Claim, task: Task[Any] | None, error: BaseException, now: int, chance: float) -> Settlement:
    """A failed attempt whose ending nobody foresaw, at ``now`` (microseconds): as if its worker had died.

    It is tried again while there are attempts, whatever errors the policy names: this one is not the handler's.
    """
    run_id = to_id(claim.seq, claim.nonce)
    _logger.error("tenant %s: an attempt of run %s can't be ended", claim.tenant_id, run_id, exc_info=error)
    outcome = Failed(RuntimeError(), text=f"the worker could not end the attempt: {describe_error(error)}")
    policy = replace(Retry() if task is None else task.retry, retry_on=(), give_up_on=())
    following = after_failure(outcome, policy, claim.attempt, now, chance)
    return Settlement(
        claim, following.state, following.attempt, None, following.error, following.due_at, outcome=following.outcome
    )
