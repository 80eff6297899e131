"""What a drain answers: how many attempts ended in which way, and which failed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from cgk_jobs.engine.records import Settlement
from cgk_jobs.wire.ids import to_id

__all__ = ["DrainFailed", "DrainTimeout", "Drained", "FailedAttempt", "Tally"]


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An attempt that raised or ran out of time. ``final``: its run has failed, no other attempt follows."""

    run_id: str
    tenant_id: str
    task: str
    attempt: int
    error: str
    final: bool

    def __str__(self) -> str:
        what = "failed" if self.final else "is to be retried"
        return f"{self.task} of {self.tenant_id}, attempt {self.attempt}, {what}: {self.error} (run {self.run_id})"


@dataclass(frozen=True, slots=True)
class Drained:
    """How the attempts of a drain ended: counts, and each run whose last attempt failed."""

    completed: int = 0
    failed: int = 0
    retrying: int = 0
    cancelled: int = 0
    waiting: int = 0
    put_back: int = 0
    crashed: int = 0
    failures: tuple[FailedAttempt, ...] = field(default=(), repr=False)

    @property
    def attempts(self) -> int:
        """Attempts that ended."""
        counts = (self.completed, self.failed, self.retrying, self.cancelled, self.waiting, self.put_back, self.crashed)
        return sum(counts)


class DrainFailed(AssertionError):
    """Runs failed during a drain that was asked to raise then. ``drained`` has the counts."""

    def __init__(self, drained: Drained) -> None:
        lines = "".join(f"\n  {failure}" for failure in drained.failures)
        super().__init__(f"{len(drained.failures)} run(s) failed while draining:{lines}")
        self.drained = drained


class DrainTimeout(AssertionError):
    """Work did not come to rest in time: a handler hangs, or tasks start each other for ever."""


_COUNTED = {
    "completed": "completed",
    "failed": "failed",
    "retrying": "retrying",
    "cancelled": "cancelled",
    "waiting": "waiting",
    "queued": "put_back",
}


class Tally:
    """Counts settlements as they are written."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._failures: dict[int, FailedAttempt] = {}

    def settled(self, settlements: Iterable[Settlement]) -> None:
        """Attempts ended, and the ledger took it."""
        for item in settlements:
            name = _COUNTED[item.state]
            self._counts[name] = self._counts.get(name, 0) + 1
            claim = item.claim
            if item.state in ("failed", "retrying"):
                self._failures[claim.seq] = FailedAttempt(
                    to_id(claim.seq, claim.nonce), claim.tenant_id, claim.task, claim.attempt, item.error or "",
                    item.state == "failed",
                )  # fmt: skip
            elif item.state == "completed":
                self._failures.pop(claim.seq, None)

    def crashed(self) -> None:
        """An attempt was ended by a crash the test had planned."""
        self._counts["crashed"] = self._counts.get("crashed", 0) + 1

    def result(self) -> Drained:
        """What was counted so far."""
        return Drained(**self._counts, failures=tuple(self._failures.values()))
