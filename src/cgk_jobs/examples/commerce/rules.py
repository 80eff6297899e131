"""A tenant's own rules: when something happens to an entity, or it stays in a state for long, act, at once or later."""

from __future__ import annotations

from sqlite3 import Connection
from typing import TYPE_CHECKING

from cgk_jobs.examples.commerce.alerting import raise_alert
from cgk_jobs.examples.commerce.creator_mails import queue_for_creator
from cgk_jobs.examples.commerce.days import DAY, HOUR
from cgk_jobs.tenancy import current_tenant

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = [
    "BATCH_SIZE",
    "fire",
    "fire_elapsed",
    "KEEP_DAYS",
    "forget_executions",
    "perform",
    "perform_due",
    "wake_threads",
]

BATCH_SIZE = 50
"""Actions that one run performs."""
KEEP_DAYS = 90
"""Days an execution is kept. A stay that began before is no longer looked at, or it would fire anew once its record is gone."""

ELAPSED = """
    SELECT workflow_id, state_at, project_id FROM rules JOIN projects ON projects.state = rules.in_state
    WHERE active = 1 AND entity_type = 'project' AND after_hours IS NOT NULL
      AND (:entity_type IS NULL OR entity_type = :entity_type)
      AND state_at BETWEEN :now - :keep * :day AND :now - after_hours * :hour
      AND NOT EXISTS (SELECT 1 FROM rule_executions
                      WHERE execution_id = workflow_id || ':' || state_at || ':' || project_id)
"""


def fire(db: Connection, workflow_id: str, occasion: str, entity_type: str, entity_id: str, *, now: int) -> str | None:
    """Let a rule act on an entity, once per occasion; the id of the execution.

    ``None`` if there is no such rule, it is switched off, or it is about another type of entity.
    """
    rule = db.execute(
        "SELECT action_type, target, delay_seconds FROM rules WHERE workflow_id = ? AND active = 1 AND entity_type = ?",
        (workflow_id, entity_type),
    ).fetchone()
    if rule is None:
        return None
    action_type, target, delay_seconds = rule
    execution_id = f"{workflow_id}:{occasion}:{entity_id}"
    db.execute(
        "INSERT INTO rule_executions (execution_id, workflow_id, entity_type, entity_id, fired_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (execution_id, workflow_id, entity_type, entity_id, now),
    )
    db.execute(
        "INSERT INTO rule_actions (action_id, execution_id, action_type, target, due_at) VALUES (?1 || ':1', ?1, ?2, ?3, ?4)"
        " ON CONFLICT DO NOTHING",
        (execution_id, action_type, target, now + delay_seconds * 1_000_000),
    )
    return execution_id


def fire_elapsed(db: Connection, now: int, entity_type: str | None = None) -> int:
    """Fire the rules about projects that have been in a state for so many hours; once for each stay in that state."""
    elapsed = db.execute(
        ELAPSED, {"now": now, "hour": HOUR, "day": DAY, "keep": KEEP_DAYS, "entity_type": entity_type}
    ).fetchall()
    for workflow_id, since, project_id in elapsed:
        fire(db, workflow_id, str(since), "project", project_id, now=now)
    return len(elapsed)


async def perform(app: Commerce, execution_id: str, *, due_only: bool = False) -> int:
    """Perform the actions of one execution, also those planned for later unless ``due_only``; says how many were done."""
    with app.shops.current() as db:
        pending = db.execute(
            "SELECT action_id, action_type, target FROM rule_actions WHERE execution_id = ? AND state = 'pending'"
            " AND (? = 0 OR due_at <= ?)",
            (execution_id, due_only, app.now()),
        ).fetchall()
    return await _perform_all(app, pending)


async def perform_due(app: Commerce, most: int = BATCH_SIZE) -> int:
    """Perform the actions that are due, the longest due first; says how many were done."""
    with app.shops.current() as db:
        due = db.execute(
            "SELECT action_id, action_type, target FROM rule_actions WHERE state = 'pending' AND due_at <= ?"
            " ORDER BY due_at LIMIT ?",
            (app.now(), most),
        ).fetchall()
    return await _perform_all(app, due)


async def _perform_all(app: Commerce, actions: list[tuple[str, str, str]]) -> int:
    done = 0
    for action_id, action_type, target in actions:
        known = await _act(app, action_id, action_type, target)
        with app.shops.current() as db:
            db.execute(
                "UPDATE rule_actions SET state = ? WHERE action_id = ?", ("done" if known else "refused", action_id)
            )
        done += known
    return done


async def _act(app: Commerce, action_id: str, action_type: str, target: str) -> bool:
    """Do it under the action's own id, which makes a repetition harmless; false for an unknown type of action."""
    if action_type == "post_message":
        await app.chat.post(current_tenant(), action_id, target, f"Rule {action_id.partition(':')[0]} fired")
    elif action_type == "raise_alert":
        await raise_alert(app, action_id, "warning", "A rule fired", target)
    elif action_type == "mail_creator":
        with app.shops.current() as db:
            queue_for_creator(db, action_id, target, "rule-fired", app.now())
    else:
        return False
    return True


def forget_executions(db: Connection, now: int, days: int = KEEP_DAYS) -> int:
    """Delete executions older than ``days`` days, never younger than ``KEEP_DAYS``, with their actions; says how many."""
    days = max(days, KEEP_DAYS)
    before = now - days * DAY
    db.execute(
        "DELETE FROM rule_actions WHERE execution_id IN (SELECT execution_id FROM rule_executions WHERE fired_at < ?)",
        (before,),
    )
    return db.execute("DELETE FROM rule_executions WHERE fired_at < ?", (before,)).rowcount


def wake_threads(db: Connection, now: int) -> int:
    """Bring snoozed conversations back to the inbox."""
    return db.execute(
        "UPDATE threads SET state = 'inbox', snoozed_until_at = NULL WHERE state = 'snoozed' AND snoozed_until_at <= ?",
        (now,),
    ).rowcount
