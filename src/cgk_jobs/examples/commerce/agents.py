"""What a tenant's assistants remember, did and wait for. Weights and confidences are thousandths."""

from __future__ import annotations

from datetime import date
from sqlite3 import Connection

from cgk_jobs.examples.commerce.days import DAY, day_span

__all__ = [
    "CONTEXT_TOKENS",
    "archive_actions",
    "archive_conversations",
    "archive_handoffs",
    "archive_recordings",
    "bill_voice",
    "decay_familiarity",
    "decay_memories",
    "disable_doubtful",
    "expire_approvals",
    "learn",
    "prune_context",
    "refresh_stats",
]

CONTEXT_TOKENS = 100_000
"""How much context an agent keeps."""
DOUBTFUL = 200
VOICE_CENTS_PER_MINUTE = 7

PRUNE = """
    DELETE FROM agent_context WHERE entry_id IN (
        SELECT entry_id FROM (
            SELECT entry_id, sum(tokens) OVER (PARTITION BY agent_id ORDER BY added_at DESC, entry_id DESC) AS kept
            FROM agent_context)
        WHERE kept > ?)
"""
STATS = """
    INSERT INTO agent_stats (agent_id, actions, last_acted_at)
    SELECT agent_id, count(*), max(acted_at) FROM agent_actions WHERE archived = 0 GROUP BY agent_id
    ON CONFLICT DO UPDATE SET actions = excluded.actions, last_acted_at = excluded.last_acted_at
    WHERE (agent_stats.actions, agent_stats.last_acted_at) IS NOT (excluded.actions, excluded.last_acted_at)
"""


def decay_memories(db: Connection, today: date, now: int) -> int:
    """Take two hundredths of its weight from every memory unused for a week, once a day."""
    return db.execute(
        "UPDATE agent_memories SET weight = weight * 98 / 100, decayed_on = ?1"
        " WHERE enabled = 1 AND decayed_on < ?1 AND used_at < ?2",
        (today.isoformat(), now - 7 * DAY),
    ).rowcount


def decay_familiarity(db: Connection, today: date, now: int) -> int:
    """Take a tenth of the familiarity of members who did not meet for a month, once a day."""
    return db.execute(
        "UPDATE agent_familiarity SET familiarity = familiarity * 9 / 10, decayed_on = ?1"
        " WHERE decayed_on < ?1 AND met_at < ?2 AND familiarity > 0",
        (today.isoformat(), now - 30 * DAY),
    ).rowcount


def disable_doubtful(db: Connection) -> int:
    """Switch off the memories whose confidence is below a fifth."""
    return db.execute(
        "UPDATE agent_memories SET enabled = 0 WHERE enabled = 1 AND confidence < ?", (DOUBTFUL,)
    ).rowcount


def prune_context(db: Connection, most_tokens: int = CONTEXT_TOKENS) -> int:
    """Drop the oldest context of each agent that does not fit into ``most_tokens``."""
    return db.execute(PRUNE, (most_tokens,)).rowcount


def expire_approvals(db: Connection, now: int) -> int:
    """Expire what has waited for an approval for a day."""
    return db.execute(
        "UPDATE agent_approvals SET state = 'expired' WHERE state = 'pending' AND asked_at < ?", (now - DAY,)
    ).rowcount


def archive_handoffs(db: Connection, now: int) -> int:
    """Archive handoffs finished more than thirty days ago."""
    return db.execute(
        "UPDATE agent_handoffs SET archived = 1 WHERE archived = 0 AND finished_at < ?", (now - 30 * DAY,)
    ).rowcount


def archive_actions(db: Connection, now: int) -> int:
    """Archive actions older than ninety days."""
    return db.execute(
        "UPDATE agent_actions SET archived = 1 WHERE archived = 0 AND acted_at < ?", (now - 90 * DAY,)
    ).rowcount


def archive_conversations(db: Connection, now: int) -> int:
    """Archive conversations silent for ninety days."""
    return db.execute(
        "UPDATE agent_conversations SET archived = 1 WHERE archived = 0 AND spoken_at < ?", (now - 90 * DAY,)
    ).rowcount


def refresh_stats(db: Connection) -> int:
    """Count each agent's actions that are not archived; says how many figures changed."""
    return db.execute(STATS).rowcount


def learn(db: Connection) -> int:
    """Raise the confidence of memories found helpful and lower that of the others; says how many verdicts were read."""
    unread = db.execute("UPDATE agent_feedback SET read = 1 WHERE read = 0 RETURNING memory_id, helpful").fetchall()
    db.executemany(
        "UPDATE agent_memories SET confidence = max(0, min(1000, confidence + ?)) WHERE memory_id = ?",
        [(50 if helpful else -150, memory_id) for memory_id, helpful in unread],
    )
    return len(unread)


def archive_recordings(db: Connection, now: int, days: int) -> int:
    """Forget where the recordings of calls older than ``days`` days are; the calls themselves stay for billing."""
    return db.execute(
        "UPDATE calls SET recording = NULL WHERE recording IS NOT NULL AND started_at < ?", (now - days * DAY,)
    ).rowcount


def bill_voice(db: Connection, day: date) -> int:
    """Count a day's call seconds and their cost, by the started minute of each call; a rerun overwrites the day."""
    start, end = day_span(day)
    return db.execute(
        "INSERT INTO voice_days (day_on, seconds, cost_cents, currency)"
        " SELECT ?1 AS day, sum(seconds), sum((seconds + 59) / 60) * ?2, 'USD' FROM calls"
        " WHERE started_at >= ?3 AND started_at < ?4 GROUP BY day"
        " ON CONFLICT DO UPDATE SET seconds = excluded.seconds, cost_cents = excluded.cost_cents",
        (day.isoformat(), VOICE_CENTS_PER_MINUTE, start, end),
    ).rowcount
