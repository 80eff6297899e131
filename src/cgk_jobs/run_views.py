"""Runs as people see them: what ``jobs.runs`` answers with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from cgk_jobs.clock import from_micros
from cgk_jobs.engine.records import RunRecord
from cgk_jobs.engine.states import FINAL, State
from cgk_jobs.errors import RunCancelled, RunExpired, RunFailed
from cgk_jobs.wire.ids import to_id
from cgk_jobs.wire.json import loads

__all__ = ["AttemptView", "LogView", "Page", "Run", "StepView", "json_value", "outcome_of", "to_run"]


@dataclass(frozen=True, slots=True)
class StepView:
    """An entry of a run's journal: a step, a sleep, a wait, a call.

    ``failed``: its result says how. ``pending``: it is not finished; ``finished_at`` is when it last changed.
    """

    name: str
    result: Any
    finished_at: datetime
    failed: bool = False
    pending: bool = False


@dataclass(frozen=True, slots=True)
class AttemptView:
    """An attempt that did not end its run well."""

    attempt: int
    outcome: str
    error: str | None
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class LogView:
    """A line the handler logged."""

    at: datetime
    attempt: int
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class Run:
    """One run as it stood when it was read. Moments are UTC. ``steps``, ``attempts`` and ``log`` are filled by ``get``.

    ``parent_id``: the run that called it. ``replay_of``: the run it is a replay of. ``undoing``: the error for which it
    failed for good, if its steps are or were undone. ``events``: how many events it stands for, more than one where its
    task debounces or batches them; the payload of a batch is ``{"events": […]}``. ``metadata``: what the handler kept
    with ``ctx.metadata``.
    """

    id: str
    tenant_id: str
    task: str
    event: str
    event_id: str
    state: State
    queue: str
    priority: int
    attempt: int
    result: Any
    error: str | None
    progress: dict[str, Any] | None
    tags: tuple[str, ...]
    payload: dict[str, Any]
    created_at: datetime
    due_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    held_by: str | None
    parent_id: str | None = None
    replay_of: str | None = None
    undoing: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    events: int = 1
    steps: tuple[StepView, ...] = field(default=(), repr=False)
    attempts: tuple[AttemptView, ...] = field(default=(), repr=False)
    log: tuple[LogView, ...] = field(default=(), repr=False)

    @property
    def finished(self) -> bool:
        """It ended, for good or bad."""
        return self.state in FINAL


@dataclass(frozen=True, slots=True)
class Page:
    """Runs, newest first. Hand ``next_cursor`` to the next ``list``; ``None``: there are no more."""

    runs: tuple[Run, ...]
    next_cursor: str | None

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)


def outcome_of(record: RunRecord) -> Any:
    """The result of a run that has ended; raises how it ended otherwise."""
    run_id = to_id(record.seq, record.nonce)
    if record.state == "completed":
        return json_value(record.result)
    if record.state == "cancelled":
        raise RunCancelled(f"run {run_id} of {record.task} was cancelled")
    if record.state == "expired":
        raise RunExpired(f"run {run_id} of {record.task} was not started in time")
    raise RunFailed(f"run {run_id} of {record.task} failed: {record.error}", run_id=run_id, error=record.error)


def to_run(record: RunRecord) -> Run:
    """What the ledger knows of a run, for people."""

    def moment(micros: int | None) -> datetime | None:
        return None if micros is None else from_micros(micros)

    return Run(
        id=to_id(record.seq, record.nonce),
        tenant_id=record.tenant_id,
        task=record.task,
        event=record.event_name,
        event_id=to_id(record.event_seq, record.nonce),
        state=record.state,
        queue=record.queue,
        priority=record.lane,
        attempt=record.attempt,
        result=json_value(record.result),
        error=record.error,
        progress=json_value(record.progress),
        tags=tuple(record.tags.split(",")) if record.tags else (),
        payload=_payload(record.payload),
        created_at=from_micros(record.created_at),
        due_at=moment(record.due_at),
        started_at=moment(record.started_at),
        finished_at=moment(record.finished_at),
        held_by=record.held_by,
        parent_id=None if record.parent_seq is None else to_id(record.parent_seq, record.nonce),
        replay_of=None if record.replay_of is None else to_id(record.replay_of, record.nonce),
        undoing=record.failing,
        metadata=json_value(record.metadata) or {},
        events=record.events,
    )


def _payload(text: str) -> dict[str, Any]:
    """The payload as it was stored; one that is no JSON object as text, so that whoever looks for the fault sees it."""
    try:
        values = json_value(text)
    except ValueError:
        values = None
    if isinstance(values, list):
        return {"events": values}
    return cast("dict[str, Any]", values) if isinstance(values, dict) else {"unreadable": text}


def json_value(text: str | None) -> Any:
    """The value of stored JSON; nothing stored is ``None``."""
    return None if text is None else loads(text)
