"""From how an attempt ended to what the ledger is to write of it."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cgk_jobs.clock import Clock
from cgk_jobs.engine.budgets import draws_of
from cgk_jobs.engine.holds import unknown_task_hold
from cgk_jobs.engine.records import Budgets, Claim, LogLine, Settlement
from cgk_jobs.runtime.execute import Attempt
from cgk_jobs.runtime.outcome import Completed, Failed, Outcome, PutBack, Suspended, describe_error, what_next
from cgk_jobs.tasks.policy import Retry
from cgk_jobs.tasks.registry import TaskRegistry
from cgk_jobs.tasks.task import Task
from cgk_jobs.wire.ids import to_id
from cgk_jobs.wire.json import dumps

__all__ = ["Judge", "budgets_of"]

_logger = logging.getLogger("cgk_jobs.engine")


class Judge:
    """Says how attempts of these tasks are settled. ``jitter`` spreads retries."""

    def __init__(self, tasks: TaskRegistry, clock: Clock, jitter: random.Random) -> None:
        self._tasks = tasks
        self._clock = clock
        self._jitter = jitter

    def settlement(self, attempt: Attempt, outcome: Outcome) -> Settlement | None:
        """What is written, the attempt's last lines with it. ``None``: nothing, as it lost its run."""
        lines = None if attempt.context is None else attempt.context.take_lines()
        if type(outcome) is Completed and not lines:
            return Settlement(attempt.claim, "completed", attempt.claim.attempt, outcome.result)
        return self._of(attempt, outcome, lines or [])

    def _of(self, attempt: Attempt, outcome: Outcome, lines: Sequence[tuple[int, str, str]]) -> Settlement | None:
        claim, declared = attempt.claim, attempt.declared
        following = what_next(outcome, declared.retry, claim.attempt, self._clock.micros(), self._jitter.random())
        if following is None:
            return None
        kept = None
        if isinstance(outcome, Suspended) and claim.slots is not None:
            held = [draw.key for draw in draws_of(claim, budgets_of(declared), None) if draw.hold_while_waiting]
            kept = dumps(held) if held else None
        hold = following.hold
        if isinstance(outcome, PutBack) and hold is None and claim.task not in self._tasks:
            hold = unknown_task_hold(claim.task)
        return Settlement(
            claim, following.state, following.attempt, following.result, following.error, following.due_at, hold,
            following.outcome, tuple(LogLine(*line) for line in lines), kept, following.failing,
        )  # fmt: skip

    def failure(self, claim: Claim, error: BaseException) -> Settlement:
        """A failed attempt whose ending nobody foresaw: like one whose worker died, it is tried again while there are attempts."""
        run_id = to_id(claim.seq, claim.nonce)
        _logger.error("tenant %s: an attempt of run %s can't be ended", claim.tenant_id, run_id, exc_info=error)
        text = f"the worker could not end the attempt: {describe_error(error)}"
        outcome = Failed(RuntimeError(), text=text)
        declared = self._tasks[claim.task].retry if claim.task in self._tasks else Retry()
        policy = replace(declared, retry_on=(), give_up_on=())
        following = what_next(outcome, policy, claim.attempt, self._clock.micros(), self._jitter.random())
        if following is None:
            raise AssertionError("a failure is always written")
        return Settlement(
            claim,
            following.state,
            following.attempt,
            None,
            following.error,
            following.due_at,
            outcome=following.outcome,
        )


def budgets_of(task: Task[Any]) -> Budgets | None:
    """The limits of a task, ``None`` without any."""
    return Budgets(task.concurrency, task.rates) if task.concurrency or task.rates else None
