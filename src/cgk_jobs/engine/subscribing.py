"""What a task tells the ledger of itself."""

from __future__ import annotations

from typing import Any

from cgk_jobs.engine.records import Subscription
from cgk_jobs.tasks.task import Task

__all__ = ["subscription_of"]


def subscription_of(task: Task[Any]) -> Subscription:
    """What senders must know of a task."""
    return Subscription(
        task.id,
        task.on.event_name if task.on is not None else "",
        task.queue,
        task.priority.rank,
        task.priority.level,
        task.expires,
        ",".join(task.tags),
        task.flow.stored(),
    )
