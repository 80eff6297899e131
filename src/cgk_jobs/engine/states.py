"""The states of a run and every legal transition, as one table that code, documents and tests read."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["ALL_STATES", "FINAL", "TRANSITIONS", "State", "legal"]

State = Literal["scheduled", "queued", "running", "retrying", "waiting", "completed", "failed", "cancelled", "expired"]

ALL_STATES: tuple[State, ...] = get_args(State)
FINAL: frozenset[State] = frozenset({"completed", "failed", "cancelled", "expired"})

TRANSITIONS: dict[State, dict[State, str]] = {
    "scheduled": {
        "queued": "its time has come",
        "cancelled": "cancelled before its time",
        "expired": "not started in time",
    },
    "queued": {
        "running": "claimed by a worker",
        "cancelled": "cancelled before it started",
        "expired": "not started in time",
    },
    "running": {
        "completed": "the handler returned",
        "retrying": "the attempt failed or its worker died; another is due",
        "failed": "the last attempt failed, or the error can't be retried",
        "waiting": "the handler sleeps, waits for an event or for runs it called, or is to be undone",
        "queued": "put back without spending an attempt: drained, an event newer than this code, or a wait that was over at once",
        "cancelled": "cancelled while it ran",
    },
    "retrying": {
        "queued": "its next attempt is due",
        "cancelled": "cancelled between attempts",
        "expired": "not started in time",
    },
    "waiting": {"queued": "what it waited for is there, or its time is over", "cancelled": "cancelled while it waited"},
    "completed": {},
    "failed": {"queued": "retried by hand"},
    "cancelled": {"queued": "retried by hand"},
    "expired": {"queued": "retried by hand"},
}
"""From each state, the states it may change to, and why."""


def legal(before: State, after: State) -> bool:
    """Whether a run may go from ``before`` to ``after``."""
    return after in TRANSITIONS[before]
