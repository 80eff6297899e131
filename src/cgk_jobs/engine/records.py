"""What goes into the ledger and comes out of it: frozen values. Moments are integer microseconds since 1970 UTC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cgk_jobs.engine.states import State
from cgk_jobs.runtime.delivery import Claim, RunKey
from cgk_jobs.tasks.policy import Limit, Rate

__all__ = [
    "Appetite",
    "AttemptRecord",
    "Budgets",
    "Claim",
    "Exchange",
    "LogLine",
    "NewEvent",
    "Parent",
    "PausedRecord",
    "RunKey",
    "RunRecord",
    "ScheduleRecord",
    "Settlement",
    "StepRecord",
    "Stored",
    "Subscription",
    "TallyRecord",
    "TenantRecord",
    "WorkerRecord",
]


class Subscription(NamedTuple):
    """That a task listens to an event, and the defaults of its runs. ``event`` is empty for a task sent by itself.

    ``flow``: its flow control as text, which ``engine/flow.py`` reads; empty for none.
    """

    task: str
    event: str
    queue: str
    rank: int
    lane: int
    expires: float | None
    tags: str
    flow: str = ""


class Parent(NamedTuple):
    """The run that called another: its number and random part, the entry of its journal that waits, the child's depth.

    ``hold``: why the child must not be ready at once.
    """

    seq: int
    nonce: int
    step: str
    depth: int
    hold: str | None = None


class NewEvent(NamedTuple):
    """An event to be stored with a run for every subscription, or, with ``task``, for that task alone.

    ``priority`` ``None``: the task's. ``expires``: seconds. ``tags``: those of this send, joined by commas. ``nonce``: the
    random part of the ids, where it must be another run's, so that each leads to the other.
    """

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
    tick_at: int | None = None
    replay_of: int | None = None
    parent: Parent | None = None
    nonce: int | None = None


class Stored(NamedTuple):
    """The numbers an event and its runs got (``nonce`` is theirs in common); ``duplicate`` if its key was already used.

    ``nonces``: those of the runs, where one was made by another event. ``refused``: why nothing was stored.
    """

    event_seq: int
    nonce: int
    run_seqs: tuple[int, ...]
    duplicate: bool = False
    nonces: tuple[int, ...] | None = None
    refused: str | None = None

    @property
    def runs(self) -> list[tuple[int, int]]:
        """Number and nonce of each run."""
        nonces = self.nonces or (self.nonce,) * len(self.run_seqs)
        return list(zip(self.run_seqs, nonces, strict=True))


class Settlement(NamedTuple):
    """How an attempt ended, as the ledger writes it.

    ``attempt`` is the number the run has from now on. ``outcome`` names the ending for the list of attempts; empty for one
    that is not listed. ``log`` are the lines to be kept. ``kept_slots``: the limits (JSON list
    of keys) a suspended run goes on counting for. ``failing``: from now on the run is being undone, for this error.
    """

    claim: Claim
    state: State
    attempt: int
    result: str | None = None
    error: str | None = None
    due_at: int | None = None
    held_by: str | None = None
    outcome: str = ""
    log: tuple[LogLine, ...] = ()
    kept_slots: str | None = None
    failing: str | None = None


class LogLine(NamedTuple):
    """A line a handler logged."""

    at: int
    level: str
    message: str


class Budgets(NamedTuple):
    """The limits of a task, as the worker that claims knows them."""

    limits: tuple[Limit, ...]
    rates: tuple[Rate, ...]


@dataclass(frozen=True, slots=True)
class Appetite:
    """What a worker wants: up to ``count`` runs from ``queues`` (in this order) of the tasks it knows."""

    queues: Sequence[str]
    count: int
    tasks: Mapping[str, Budgets | None]


@dataclass(frozen=True, slots=True)
class Exchange:
    """The answer to settlements and appetite: new claims, the settlements that came too late, when something is next due."""

    claims: list[Claim] = field(default_factory=list[Claim])
    stale: list[Claim] = field(default_factory=list[Claim])
    next_due: int | None = None
    more: bool = False
    """Ready runs may be left: ask again as soon as there is room."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Everything the ledger knows of one run, but its steps, attempts and log."""

    seq: int
    nonce: int
    tenant_id: str
    task: str
    queue: str
    state: State
    lane: int
    attempt: int
    claim: int
    worker: int | None
    event_seq: int
    event_name: str
    event_version: int
    payload: str
    result: str | None
    error: str | None
    progress: str | None
    tags: str
    created_at: int
    due_at: int | None
    started_at: int | None
    finished_at: int | None
    held_by: str | None
    expires_at: int | None
    tick_at: int | None
    replay_of: int | None
    parent_seq: int | None = None
    failing: str | None = None
    metadata: str | None = None
    events: int = 1

    @property
    def key(self) -> RunKey:
        """Where the run is found."""
        return RunKey(self.tenant_id, self.seq)


class StepRecord(NamedTuple):
    """An entry of a run's journal; ``result`` is JSON. ``pending``: it is not finished, ``finished_at`` is its last change."""

    name: str
    result: str | None
    finished_at: int
    failed: bool = False
    pending: bool = False


class AttemptRecord(NamedTuple):
    """An attempt that did not end its run well."""

    attempt: int
    outcome: str
    error: str | None
    ended_at: int


class TenantRecord(NamedTuple):
    """A tenant's settings. ``weight`` is its share against others; ``concurrency`` and ``rate`` hold over all its tasks."""

    id: str
    added: bool
    timezone: str | None = None
    weight: float = 1.0
    concurrency: int | None = None
    rate: int | None = None
    rate_seconds: float | None = None
    paused: bool = False
    created_at: int = 0


class ScheduleRecord(NamedTuple):
    """How far a schedule has fired in one time zone. ``tick_at`` is a tick half fired, up to tenant ``after_tenant``."""

    id: str
    timezone: str
    expression: str
    last_at: int
    tick_at: int | None = None
    missed: int = 0
    after_tenant: str | None = None
    previous_at: int | None = None


class WorkerRecord(NamedTuple):
    """A registered worker. ``lock_file`` is held by its process as long as it lives; ``doorbell`` is where it is woken."""

    id: int
    pid: int
    host: str
    lock_file: str
    doorbell: str
    queues: str
    concurrency: int
    started_at: int
    beat_at: int


class TallyRecord(NamedTuple):
    """How many runs of a tenant, task and event are in a state, and how many attempts beyond the first they had."""

    tenant_id: str
    task: str
    event: str
    state: State
    runs: int
    retries: int


class PausedRecord(NamedTuple):
    """A paused queue or schedule."""

    kind: str
    name: str
    paused_at: int
