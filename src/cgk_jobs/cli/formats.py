"""Runs, moments and durations as people read them, and as JSON has them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cgk_jobs.runs import Run

__all__ = ["compact", "duration", "elapsed", "moment", "run_document"]


def moment(at: datetime | None) -> str:
    """A moment in this machine's zone, to the second, with its offset."""
    return "" if at is None else at.astimezone().isoformat(timespec="seconds")


def duration(seconds: float | None) -> str:
    """Seconds as ``12 ms``, ``3.4 s``, ``5 m 02 s`` or ``2 h 05 m``."""
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} m"


def elapsed(run: Run) -> float | None:
    """Seconds from a run's last start to its end, or ``None`` before that."""
    if run.started_at is None or run.finished_at is None:
        return None
    return (run.finished_at - run.started_at).total_seconds()


def compact(value: object) -> str:
    """A JSON-like value on one line."""
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "), default=str)


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
