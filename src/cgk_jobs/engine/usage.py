"""What a tenant uses, as the ledger counts it."""

from __future__ import annotations

from dataclasses import dataclass, field

from cgk_jobs.engine.states import State

__all__ = ["PeriodRecord", "UsageRecord"]


@dataclass(slots=True)
class PeriodRecord:
    """Events sent, and runs that finished by state, in the period that begins at ``start`` (microseconds)."""

    start: int
    sends: int = 0
    finished: dict[State, int] = field(default_factory=dict[State, int])


@dataclass(slots=True)
class UsageRecord:
    """Everything the ledger keeps of a tenant, counted. ``oldest_waiting``: when the oldest ready or parked run was sent."""

    states: dict[State, int] = field(default_factory=dict[State, int])
    attempts: int = 0
    payload_bytes: int = 0
    result_bytes: int = 0
    log_bytes: int = 0
    oldest_waiting: int | None = None
    periods: dict[int, PeriodRecord] = field(default_factory=dict[int, PeriodRecord])

    def add_state(self, state: State, runs: int, attempts: int, payload: int, result: int, oldest: int) -> None:
        """Count the runs in one state, the oldest of which was sent at ``oldest``."""
        self.states[state] = self.states.get(state, 0) + runs
        self.attempts += attempts
        self.payload_bytes += payload
        self.result_bytes += result
        if state == "queued":
            self.oldest_waiting = oldest

    def period(self, start: int) -> PeriodRecord:
        """The period that begins then."""
        return self.periods.setdefault(start, PeriodRecord(start))
