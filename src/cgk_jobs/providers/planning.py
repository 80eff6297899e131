"""What a provider is told of an application."""

from __future__ import annotations

from typing import Any

from cgk_jobs.providers.provider import Plan, PlannedTask, PlannedTick
from cgk_jobs.tasks.registry import TaskRegistry
from cgk_jobs.tasks.task import Task

__all__ = ["plan_of"]


def plan_of(tasks: TaskRegistry, app: str, public_url: str | None) -> Plan:
    """The plan of these tasks."""
    planned = [
        PlannedTask(task.id, task.queue, task.timeout, task.retry.max_attempts, _tenant_concurrency(task))
        for task in tasks
    ]
    ticks = [
        PlannedTick(task.id, task.schedule.cron.expression, task.schedule.cron.timezone)
        for task in tasks
        if task.schedule is not None
    ]
    return Plan(app, planned, ticks, public_url)


def _tenant_concurrency(task: Task[Any]) -> int | None:
    return min((limit.n for limit in task.concurrency if limit.per == "tenant"), default=None)
