"""Rules that a tenant defines, and conversations that come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgk_jobs import Event, Retry, TaskGroup, Tick
from cgk_jobs.events.catalogue.workflows import (
    WorkflowCleanup,
    WorkflowScheduledAction,
    WorkflowTimeElapsed,
    WorkflowTriggered,
)
from cgk_jobs.examples.commerce import rules
from cgk_jobs.examples.commerce.chosen_times import CHOSEN_TIMES
from cgk_jobs.examples.commerce.policies import DEFAULT, TWICE

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("workflows",)
ACTIONS = Retry(max_attempts=3)


class OneExecution(Event):
    """A rule that fired."""

    execution_id: str


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    _rules(group, app)
    _actions(group, app)
    _upkeep(group, app)
    return group


def _rules(group: TaskGroup, app: Commerce) -> None:
    @group.task(on=WorkflowTriggered, id="workflow-engine", retry=DEFAULT, tags=TAGS)
    async def engine(event: WorkflowTriggered) -> str | None:
        """Let a rule act on a changed entity: what it asks for now is done, the rest waits for its time."""
        with app.shops.current() as db:
            execution_id = rules.fire(
                db, event.workflow_id, event.trigger_id, event.entity_type, event.entity_id, now=app.now()
            )
        if execution_id is not None:
            await rules.perform(app, execution_id, due_only=True)
        return execution_id

    @group.cron("0 * * * *", tenants="each", id="workflow-check-time-elapsed-triggers", retry=TWICE, tags=TAGS)
    async def check_elapsed(tick: Tick) -> int:
        """Fire the rules about time spent in a state."""
        with app.shops.current() as db:
            return rules.fire_elapsed(db, app.now())

    @group.task(on=WorkflowTimeElapsed, id="workflow-check-time-elapsed-triggers-on-request", retry=TWICE, tags=TAGS)
    async def check_elapsed_on_request(event: WorkflowTimeElapsed) -> int:
        """As by its schedule, for one type of entity or all."""
        with app.shops.current() as db:
            return rules.fire_elapsed(db, app.now(), event.entity_type)


def _actions(group: TaskGroup, app: Commerce) -> None:
    @group.task(id="flow-execution", retry=DEFAULT, tags=TAGS)
    async def flow_execution(execution: OneExecution) -> int:
        """Perform the actions of one execution now, whenever they were planned for."""
        return await rules.perform(app, execution.execution_id)

    @group.cron("*/5 * * * *", tenants="each", id="workflow-process-scheduled-actions", retry=ACTIONS, tags=TAGS)
    async def scheduled_actions(tick: Tick) -> int:
        """Perform up to fifty delayed actions that are due."""
        return await rules.perform_due(app)

    @group.task(
        on=WorkflowScheduledAction,
        id="workflow-process-scheduled-actions-on-request",
        retry=ACTIONS,
        tags=TAGS,
    )
    async def scheduled_actions_on_request(event: WorkflowScheduledAction) -> int:
        """Perform up to ``batch_size`` delayed actions that are due."""
        return await rules.perform_due(app, rules.BATCH_SIZE if event.batch_size is None else event.batch_size)


def _upkeep(group: TaskGroup, app: Commerce) -> None:
    @group.cron(
        CHOSEN_TIMES["workflow-cleanup-execution-logs"],
        tenants="each",
        id="workflow-cleanup-execution-logs",
        retry=TWICE,
        tags=TAGS,
    )
    async def cleanup_executions(tick: Tick) -> int:
        """Delete the records of executions older than ninety days."""
        with app.shops.current() as db:
            return rules.forget_executions(db, app.now())

    @group.task(on=WorkflowCleanup, id="workflow-cleanup-execution-logs-on-request", retry=TWICE, tags=TAGS)
    async def cleanup_executions_on_request(event: WorkflowCleanup) -> int:
        """Delete the records of executions older than ``retention_days`` days, which are at least ninety."""
        with app.shops.current() as db:
            return rules.forget_executions(db, app.now(), event.retention_days or rules.KEEP_DAYS)

    @group.cron("*/5 * * * *", tenants="each", id="workflow-process-snoozed-threads", retry=TWICE, tags=TAGS)
    async def snoozed_threads(tick: Tick) -> int:
        """Bring snoozed conversations back to the inbox."""
        with app.shops.current() as db:
            return rules.wake_threads(db, app.now())
