"""The vendor's names of a run's state, and ours."""

from __future__ import annotations

from typing import Literal

from cgk_jobs.errors import ProviderUnavailable

__all__ = ["API_VERSION", "STATES", "State", "state_of", "will_not_ring"]

State = Literal["queued", "scheduled", "running", "waiting", "retrying", "completed", "failed", "cancelled", "expired"]

API_VERSION = "2025-07-16"
"""Sent with each request: without it the vendor answers with the names of its former version."""

STATES: dict[str, State] = {
    "PENDING_VERSION": "queued",
    "QUEUED": "queued",
    "DEQUEUED": "queued",
    "DELAYED": "scheduled",
    "EXECUTING": "running",
    "WAITING": "waiting",
    "COMPLETED": "completed",
    "FAILED": "failed",
    "CRASHED": "failed",
    "SYSTEM_FAILURE": "failed",
    "TIMED_OUT": "failed",
    "CANCELED": "cancelled",
    "EXPIRED": "expired",
    # Of servers that do not know the version header:
    "WAITING_FOR_DEPLOY": "queued",
    "FROZEN": "waiting",
    "REATTEMPTING": "retrying",
    "INTERRUPTED": "failed",
}
"""A vendor's run is a wake-up here: ``completed`` means that it rang, whatever the ledger says of the run it rang for."""

_ENDED = frozenset({"completed", "failed", "cancelled", "expired"})


def state_of(native: object) -> State:
    """Our name for the vendor's. Raises ``ProviderUnavailable`` for one that is not known: nothing is concluded from it."""
    if isinstance(native, str) and native in STATES:
        return STATES[native]
    raise ProviderUnavailable("Trigger.dev says a run is in a state that is not known here")


def will_not_ring(state: State) -> bool:
    """Whether a run in this state has ended at the vendor."""
    return state in _ENDED
