"""What goes into the ledger and comes out of it: frozen values. Moments are integer microseconds since 1970 UTC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from cgk_jobs.engine.states import State

__all__ = [
    "Claim",
    "ClaimRequest",
    "LimitRule",
    "LogLine",
    "NewEvent",
    "RunRecord",
    "ScheduleRecord",
    "ScheduleRow",
    "Settlement",
    "StepRecord",
    "Stored",
    "Subscription",
    "TenantRecord",
]


@dataclass(frozen=True, slots=True)
class LimitRule:
    """A limit of a task as the ledger knows it. ``kind`` concurrency counts running runs, rate counts starts."""

    kind: Literal["concurrency", "rate"]
    n: int
    per: str
    seconds: float = 0.0
    hold: bool = False


@dataclass(frozen=True, slots=True)
class Subscription:
    """That a task listens to an event, and the defaults of its runs. ``event`` is empty for tasks sent by themselves."""

    task: str
    event: str
    queue: str
    priority: int
    rank: int
    expires: float | None
    tags: str
    limits: tuple[LimitRule, ...] = ()


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
    priority: int | None = None
    expires: float | None = None
    tags: str = ""
    tick: tuple[str, int] | None = None


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
    event_name: str
    event_version: int
    payload: str
    tags: str
    created_at: int
    held: str | None
    key_seed: int


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """How many runs to claim, for which worker, from which queues. ``tasks`` are the ids this worker knows."""

    worker: int
    count: int
    queues: tuple[str, ...]
    tasks: frozenset[str]


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an attempt ended, as the ledger writes it. ``spent`` says whether the attempt number rises."""

    claim: Claim
    state: State
    result: str | None = None
    error: str | None = None
    due_at: int | None = None
    spent: bool = False


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A finished step: its JSON result (or the moment a sleep ends)."""

    name: str
    result: str | None
    finished_at: int
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line a handler logged, or progress it made."""

    at: int
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Everything the ledger knows of one run."""

    id: str
    tenant_id: str
    task: str
    queue: str
    state: State
    attempt: int
    priority: int
    event_id: str
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
    progress: float | None
    parent_id: str | None = None
    steps: Sequence[StepRecord] = field(default=())
    log: Sequence[LogLine] = field(default=())


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A schedule as a process declares it."""

    id: str
    cron: str
    timezone: str
    tenants: str
    misfire: str
    spread: float
    skip: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScheduleRecord:
    """A schedule as the ledger knows it. ``next_at`` is the earliest tick still to fire, in any time zone."""

    id: str
    cron: str
    timezone: str
    tenants: str
    misfire: str
    paused: bool
    next_at: int | None
    last_at: int | None


@dataclass(frozen=True, slots=True)
class TenantRecord:
    """A tenant: ``weight`` is its share, ``max_running`` a cap on its running runs, ``timezone`` its own."""

    id: str
    added: bool
    paused: bool
    weight: float
    max_running: int | None
    timezone: str | None
