"""What goes into the ledger and comes out of it: frozen values. Moments are integer microseconds since 1970 UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from cgk_jobs.engine.states import State

__all__ = ["Claim", "NewEvent", "RunRecord", "Settlement", "Stored", "Subscription"]


class Subscription(NamedTuple):
    """That a task listens to an event, and the defaults of its runs. ``event`` is empty for a task sent by itself."""

    task: str
    event: str
    queue: str
    expires: float | None
    tags: str


class NewEvent(NamedTuple):
    """An event to be stored with a run for every subscription, or, with ``task``, for that task alone."""

    tenant_id: str
    name: str
    version: int
    payload: str
    task: str | None = None
    due_at: int | None = None
    key: str | None = None
    key_until: int = 0
    expires: float | None = None
    tags: str = ""


class Stored(NamedTuple):
    """The ids an event and its runs got; ``duplicate`` if its key was already used."""

    event_id: str
    run_ids: tuple[str, ...]
    duplicate: bool = False


class Claim(NamedTuple):
    """One attempt's hold on a run. ``token`` is the fence: it rises at every claim, and every write carries it."""

    seq: int
    nonce: int
    token: int
    tenant_id: str
    task: str
    attempt: int
    event_version: int
    payload: str
    tags: str
    expires_at: int | None
    vstart: float


class Settlement(NamedTuple):
    """How an attempt ended, as the ledger writes it. ``attempt`` is the number the run has from now on."""

    claim: Claim
    state: State
    attempt: int
    result: str | None = None
    error: str | None = None
    due_at: int | None = None
    held_by: str | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Everything the ledger knows of one run."""

    seq: int
    nonce: int
    tenant_id: str
    task: str
    queue: str
    state: State
    attempt: int
    event_seq: int
    event_name: str
    event_version: int
    payload: str
    result: str | None
    error: str | None
    tags: str
    created_at: int
    due_at: int | None
    started_at: int | None
    finished_at: int | None
    held_by: str | None
