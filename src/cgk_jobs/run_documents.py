"""Runs as documents: for ``--json``, the API and agents, with what is secret masked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol, cast

from pydantic import BaseModel, ValidationError

from cgk_jobs.engine.scheduler import TICK_EVENT
from cgk_jobs.errors import InvalidEvent
from cgk_jobs.events import EventRegistry, mask
from cgk_jobs.events import registry as catalogue
from cgk_jobs.run_views import Run, StepView
from cgk_jobs.tasks.registry import TaskRegistry
from cgk_jobs.wire.json import dumps

__all__ = ["Knows", "masked_payload", "masked_step", "run_document"]

_ANSWER = {"event", "seq", "nonce", "version", "payload"}
"""What the journal keeps of an event that was waited for."""


class Knows(Protocol):
    """An application, as far as it knows its events' and tasks' models, which say what is secret."""

    events: EventRegistry
    tasks: TaskRegistry


def run_document(run: Run, *, payload: Any = None, whole: bool = False) -> dict[str, Any]:
    """A run for ``--json``; ``whole``: with payload, result, steps, attempts and log."""
    document: dict[str, Any] = {
        "id": run.id,
        "tenant_id": run.tenant_id,
        "task": run.task,
        "event": run.event or None,
        "event_id": run.event_id,
        "state": run.state,
        "queue": run.queue,
        "priority": run.priority,
        "attempt": run.attempt,
        "error": run.error,
        "progress": run.progress,
        "metadata": run.metadata,
        "events": run.events,
        "tags": run.tags,
        "created_at": run.created_at,
        "due_at": run.due_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "held_by": run.held_by,
        "parent_id": run.parent_id,
        "replay_of": run.replay_of,
        "undoing": run.undoing,
    }
    if whole:
        document |= {
            "payload": payload,
            "result": run.result,
            "steps": run.steps,
            "attempts": run.attempts,
            "log": run.log,
        }
    return document


def masked_step(jobs: Knows, step: StepView) -> StepView:
    """A step as it is; of an event that was waited for, its payload masked, or left out where nobody can say how."""
    result = step.result
    values = dict(cast("dict[str, Any]", result)) if isinstance(result, dict) else {}
    if values.keys() != _ANSWER:
        return step
    values["payload"] = _mask_event(jobs, str(values.get("event", "")), values["payload"])
    return replace(step, result=values)


def _mask_event(jobs: Knows, name: str, payload: Any) -> Any:
    cls = jobs.events.find(name) or catalogue.find(name)
    if cls is None:
        return None
    try:
        return mask(cls.model_validate_json(dumps(payload)))
    except (ValidationError, InvalidEvent):
        return None


def masked_payload(jobs: Knows, run: Run) -> Any:
    """The payload with its secrets masked, or ``None`` where nobody can say which they are."""
    if run.event == TICK_EVENT:
        # Moments alone, no field of the application's.
        return run.payload
    task = jobs.tasks.find(run.task)
    model: type[BaseModel] | None = None
    if run.event:
        model = jobs.events.find(run.event) or catalogue.find(run.event)
    elif task is not None:
        model = task.payload
    if model is None:
        return None
    try:
        if task is not None and task.flow.batch is not None and isinstance(run.payload.get("events"), list):
            return {"events": [mask(model.model_validate_json(dumps(one))) for one in run.payload["events"]]}
        return mask(model.model_validate_json(dumps(run.payload)))
    except (ValidationError, InvalidEvent):
        # Of another version than the code at hand, which therefore can't say what is secret in it.
        return None
