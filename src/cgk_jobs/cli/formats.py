"""Moments and durations as people read them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cgk_jobs.runs import Run

__all__ = ["compact", "duration", "elapsed", "moment"]


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
