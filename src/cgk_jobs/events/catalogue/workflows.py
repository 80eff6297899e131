"""Rules that a tenant defines: when something happens to an entity, act."""

from __future__ import annotations

from cgk_jobs.events.event import Event
from cgk_jobs.events.fields import Count, Days

__all__ = [
    "WorkflowAction",
    "WorkflowCleanup",
    "WorkflowScheduledAction",
    "WorkflowTimeElapsed",
    "WorkflowTriggered",
]


class WorkflowTriggered(Event, name="workflow.triggered"):
    """A rule matched an entity (``entity_type`` is the application's own, like ``project``)."""

    workflow_id: str
    trigger_id: str
    entity_type: str
    entity_id: str


class WorkflowAction(Event, name="workflow.action"):
    """Execute one action of a rule that matched. ``action_type`` is the application's own, like ``send_email``."""

    execution_id: str
    action_id: str
    action_type: str


class WorkflowScheduledAction(Event, name="workflow.scheduled_action"):
    """Execute delayed actions that are due, at most ``batch_size`` of them."""

    batch_size: Count | None = None


class WorkflowTimeElapsed(Event, name="workflow.time_elapsed"):
    """Evaluate the rules that wait for time to pass, of one entity type or of all."""

    entity_type: str | None = None


class WorkflowCleanup(Event, name="workflow.cleanup"):
    """Delete rule executions older than ``retention_days``."""

    retention_days: Days | None = None
