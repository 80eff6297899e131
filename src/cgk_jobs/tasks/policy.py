"""What a task wishes for: retries, limits, rates. Plain frozen values, checked when declared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cgk_jobs.errors import InvalidTask

__all__ = ["Backoff", "Limit", "Priority", "Rate", "Retry"]

Backoff = Literal["exponential", "fixed", "linear"]


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and when a failed run is tried again. All durations are seconds.

    The wait before attempt ``n + 1`` is ``initial * factor ** (n - 1)`` (exponential), ``initial * n`` (linear) or
    ``initial`` (fixed), at most ``maximum``, then varied by ``jitter``: a share between 0 (none) and 1 (anything from
    zero to the whole wait), which keeps runs that failed together from coming back together.

    ``retry_on``: only these exceptions are tried again. ``give_up_on``: these are not. ``give_up_on`` wins.
    Raises ``InvalidTask`` for values that can't work.
    """

    max_attempts: int = 3
    backoff: Backoff = "exponential"
    initial: float = 1.0
    maximum: float = 3600.0
    factor: float = 2.0
    jitter: float = 0.2
    retry_on: tuple[type[Exception], ...] = ()
    give_up_on: tuple[type[Exception], ...] = ()

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise InvalidTask(f"Retry(max_attempts={self.max_attempts}): at least 1; 1 means no retry")
        if self.backoff not in ("exponential", "fixed", "linear"):
            raise InvalidTask(f"Retry(backoff={self.backoff!r}): choose exponential, fixed or linear")
        if self.initial < 0 or self.maximum < 0:
            raise InvalidTask("Retry: initial and maximum are seconds, zero or more")
        if self.factor < 1:
            raise InvalidTask(f"Retry(factor={self.factor}): at least 1")
        if not 0 <= self.jitter <= 1:
            raise InvalidTask(f"Retry(jitter={self.jitter}): a share from 0 to 1")


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``n`` runs at the same time.

    ``per``: ``"task"`` (this task over all tenants), ``"tenant"`` (this task in each tenant) or the name of an event field
    (this task, for each value of the field in each tenant). A run in ``sleep`` holds no slot unless
    ``hold_while_waiting``. ``shared``: a name under which several tasks draw on one budget, which is how a limit over the
    whole installation is stated. Raises ``InvalidTask`` for ``n`` below 1.
    """

    n: int
    per: str = "task"
    hold_while_waiting: bool = False
    shared: str = ""

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InvalidTask(f"Limit({self.n}): at least 1; to stop a task, pause its queue")
        _check_shared(self.shared)


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``n`` starts in any window of ``seconds``, whichever window one looks at.

    ``per`` and ``shared`` as in :class:`Limit`: ``Rate(2, seconds=1, shared="mail-vendor")``. Raises ``InvalidTask``.
    """

    n: int
    seconds: float = 1.0
    per: str = "task"
    shared: str = ""

    def __post_init__(self) -> None:
        if self.n < 1 or self.seconds <= 0:
            raise InvalidTask(f"Rate({self.n}, seconds={self.seconds}): n at least 1 and seconds above 0")
        _check_shared(self.shared)


def _check_shared(name: str) -> None:
    if ":" in name:
        raise InvalidTask(f"shared={name!r}: a colon parts the names in a budget's key; choose a name without one")


@dataclass(frozen=True, slots=True)
class Priority:
    """The order within a tenant: higher first, 0 (default) to 100.

    ``across_tenants=True`` asks for precedence over other tenants' runs too, which gives up fairness for these runs:
    meant for the few things an installation must do first.
    """

    level: int = 0
    across_tenants: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.level <= 100:
            raise InvalidTask(f"priority {self.level} is out of range: 0 (default) to 100 (first)")

    @property
    def rank(self) -> int:
        """What the ledger sorts by before the fair order: 0, or below 0 for precedence over other tenants."""
        return -self.level if self.across_tenants else 0
