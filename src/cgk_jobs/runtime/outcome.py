"""How an attempt ended, as a value, and the one function that says what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from cgk_jobs.clock import to_micros
from cgk_jobs.errors import RetryAfter
from cgk_jobs.runtime.retry import delay_before, may_retry
from cgk_jobs.tasks.policy import Retry
from cgk_jobs.wire.text import storable

__all__ = [
    "Cancelled",
    "Completed",
    "Failed",
    "Lost",
    "NextState",
    "Outcome",
    "PutBack",
    "Suspended",
    "Undoing",
    "after_failure",
    "describe_error",
    "is_final",
    "message_of",
    "what_next",
]

EndState = Literal["completed", "failed", "cancelled", "retrying", "waiting", "queued"]


class Completed(NamedTuple):
    """The handler returned; ``result`` is JSON, or ``None`` for ``None``."""

    result: str | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler raised, or its time was over. ``final``: another attempt can't help, whatever the policy says.

    ``text``: what is kept instead of the error's type and message.
    """

    error: BaseException
    final: bool = False
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Suspended:
    """The handler waits until a moment (microseconds since 1970), or, with ``None``, until it is woken."""

    until: int | None


@dataclass(frozen=True, slots=True)
class Undoing:
    """The handler failed for good, and finished steps of it are to be undone before the run ends."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody cancelled the run, and the handler stopped."""


@dataclass(frozen=True, slots=True)
class PutBack:
    """The attempt was not made, or broken off by a drain: no attempt is spent. ``hold``: why it must not start at once."""

    hold: str | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """The attempt no longer holds its run: nothing is written."""


Outcome = Completed | Failed | Suspended | Undoing | Cancelled | PutBack | Lost


class NextState(NamedTuple):
    """What the ledger writes of an ending. ``outcome`` is the word under which the attempt is listed, or empty."""

    state: EndState
    attempt: int
    result: str | None = None
    error: str | None = None
    due_at: int | None = None
    hold: str | None = None
    outcome: str = ""
    failing: str | None = None


def what_next(outcome: Outcome, policy: Retry, attempt: int, now: int, chance: float) -> NextState | None:
    """What becomes of a run whose ``attempt`` ended so at ``now`` (microseconds). ``None``: nothing is to be written.

    ``chance`` (0 to 1) decides the jitter.
    """
    if isinstance(outcome, Completed):
        return NextState("completed", attempt, outcome.result)
    if isinstance(outcome, Failed):
        return after_failure(outcome, policy, attempt, now, chance)
    if isinstance(outcome, Suspended):
        return NextState("waiting", attempt, due_at=outcome.until)
    if isinstance(outcome, Undoing):
        text = describe_error(outcome.error)
        return NextState("waiting", attempt, error=text, due_at=now, outcome=_word(outcome.error), failing=text)
    if isinstance(outcome, Cancelled):
        return NextState("cancelled", attempt, error="cancelled while it ran", outcome="cancelled")
    if isinstance(outcome, PutBack):
        return NextState("queued", attempt, hold=outcome.hold)
    return None


def is_final(outcome: Failed, policy: Retry, attempt: int) -> bool:
    """Whether no other attempt follows."""
    return outcome.final or not may_retry(policy, attempt, outcome.error)


def _word(error: BaseException) -> str:
    return "timed out" if isinstance(error, TimeoutError) else "failed"


def after_failure(outcome: Failed, policy: Retry, attempt: int, now: int, chance: float) -> NextState:
    """:func:`what_next` of a failed attempt."""
    error = outcome.error
    text = describe_error(error) if outcome.text is None else outcome.text[:_LONGEST]
    word = _word(error)
    if is_final(outcome, policy, attempt):
        return NextState("failed", attempt, error=text, outcome=word)
    if isinstance(error, RetryAfter):
        when = error.when
        due_at = to_micros(when) if isinstance(when, datetime) else now + round(when * 1e6)
    else:
        due_at = now + round(delay_before(policy, attempt, chance) * 1e6)
    return NextState("retrying", attempt + 1, error=text, due_at=due_at, outcome=word)


_LONGEST = 2_000


def message_of(error: BaseException) -> str:
    """The message of an error, whatever its own ``__str__`` does."""
    try:
        return str(error)
    except Exception:
        return "its message can't be read"


def describe_error(error: BaseException) -> str:
    """Type and message of an error, at most 2,000 characters."""
    message = message_of(error)
    text = storable(f"{type(error).__name__}: {message}" if message else type(error).__name__)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
