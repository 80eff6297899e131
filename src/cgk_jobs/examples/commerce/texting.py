"""Text messages: each is a row before it leaves, goes out only with consent and never at night, and leaves once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from sqlite3 import Connection
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from cgk_jobs.clock import from_micros, to_micros
from cgk_jobs.examples.commerce.days import DAY, HOUR
from cgk_jobs.examples.commerce.people import setting
from cgk_jobs.examples.commerce.quiet_hours import QUIET_UNTIL, is_quiet
from cgk_jobs.examples.commerce.vendors import VendorUnavailable
from cgk_jobs.tenancy import current_tenant

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = [
    "BATCH_SIZE",
    "TRANSACTIONAL",
    "Outcome",
    "due_texts",
    "left_today",
    "may_text",
    "queue_texts",
    "requeue_failed",
    "send_text",
]

BATCH_SIZE = 10
DAILY_LIMIT = "1000"
"""Texts a tenant sends in 24 hours at most, where its setting ``sms_daily_limit`` says nothing else."""
MOST_ATTEMPTS = 10
"""Attempts at one text, those of the run that was to send it among them."""
REST = HOUR
"""How long a failed text lies before it is tried again."""
TRANSACTIONAL = frozenset({"order-confirmation", "order-shipped", "one-time-code"})
"""Templates of texts that the customer's own action asks for: these need no consent."""
AT_ANY_HOUR = frozenset({"one-time-code"})
"""Those of them that somebody waits for, awake."""

Outcome = Literal["sent", "refused", "held until morning", "held until tomorrow", "gone"]


def may_text(db: Connection, phone: str) -> bool:
    """Whether a customer with this number agreed to be texted. An unknown number did not."""
    row = db.execute("SELECT max(sms_consent) FROM customers WHERE phone = ?", (phone,)).fetchone()
    return bool(row[0])


def queue_texts(
    db: Connection, batch_id: str, recipients: Iterable[str], body: str, now: int, template: str | None = None
) -> list[str]:
    """Enter a text for each recipient, once, due now; a second time changes nothing. Their ids: batch and number."""
    texts = [
        (f"{batch_id}:{number}", recipient, body, now, int(template in TRANSACTIONAL), int(template in AT_ANY_HOUR))
        for number, recipient in enumerate(dict.fromkeys(recipients))
    ]
    db.executemany(
        "INSERT INTO texts (text_id, recipient, body, due_at, transactional, any_hour) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        texts,
    )
    return [text[0] for text in texts]


def due_texts(db: Connection, now: int, most: int) -> list[str]:
    """Up to ``most`` texts that are due, the longest due first."""
    rows = db.execute(
        "SELECT text_id FROM texts WHERE state = 'pending' AND due_at <= ? ORDER BY due_at LIMIT ?", (now, most)
    ).fetchall()
    return [row[0] for row in rows]


def left_today(db: Connection, now: int) -> int:
    """How many texts the tenant may still send: its daily limit less those of the last 24 hours."""
    sent = db.execute("SELECT count(*) FROM texts WHERE state = 'sent' AND tried_at > ?", (now - DAY,)).fetchone()[0]
    return max(int(setting(db, "sms_daily_limit", DAILY_LIMIT)) - int(sent), 0)


async def send_text(app: Commerce, text_id: str) -> Outcome:
    """Send a queued text, or say why it does not leave. Consent and the hour are asked right before.

    Raises ``VendorUnavailable``; the text is then failed and the attempt counted.
    """
    now = app.now()
    with app.shops.current() as db:
        row = db.execute(
            "SELECT recipient, body, transactional, any_hour FROM texts WHERE text_id = ? AND state IN ('pending', 'failed')",
            (text_id,),
        ).fetchone()
        if row is None:
            return "gone"
        recipient, body, transactional, any_hour = row
        if not transactional and not may_text(db, recipient):
            db.execute("UPDATE texts SET state = 'refused', tried_at = ? WHERE text_id = ?", (now, text_id))
            return "refused"
        zone = _zone(db)
        if not any_hour and is_quiet(now, zone):
            _hold(db, text_id, _morning_after(now, zone))
            return "held until morning"
        if not left_today(db, now):
            _hold(db, text_id, now + DAY)
            return "held until tomorrow"
    try:
        await app.sms.text(current_tenant(), f"text:{text_id}", recipient, body)
    except VendorUnavailable:
        with app.shops.current() as db:
            db.execute(
                "UPDATE texts SET state = 'failed', attempts = attempts + 1, tried_at = ? WHERE text_id = ?",
                (app.now(), text_id),
            )
        raise
    with app.shops.current() as db:
        db.execute(
            "UPDATE texts SET state = 'sent', attempts = attempts + 1, tried_at = ? WHERE text_id = ?",
            (app.now(), text_id),
        )
    return "sent"


def requeue_failed(db: Connection, now: int) -> int:
    """Make the texts due again that failed an hour ago or earlier and were not tried ten times; says how many."""
    return db.execute(
        "UPDATE texts SET state = 'pending', due_at = ?1 WHERE state = 'failed' AND tried_at <= ?2 AND attempts < ?3",
        (now, now - REST, MOST_ATTEMPTS),
    ).rowcount


def _zone(db: Connection) -> str:
    return setting(db, "timezone", "UTC")


def _hold(db: Connection, text_id: str, due_at: int) -> None:
    db.execute("UPDATE texts SET state = 'pending', due_at = ? WHERE text_id = ?", (due_at, text_id))


def _morning_after(now: int, zone: str) -> int:
    local = from_micros(now).astimezone(ZoneInfo(zone))
    day = local.date() if local.time() < QUIET_UNTIL else local.date() + timedelta(days=1)
    return to_micros(datetime.combine(day, QUIET_UNTIL, ZoneInfo(zone)).astimezone(UTC))
