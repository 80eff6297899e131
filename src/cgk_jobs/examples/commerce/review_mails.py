"""Mails that ask for a review: planned by the sequence that starts with a shipment, or queued by an event.

A planned mail belongs to its sequence, which sleeps until the mail is due and then queues it. A queued one leaves through
``send-queued-review-email``, the only task that talks to the vendor, since the vendor's pace is a limit of that task.
"""

from __future__ import annotations

from datetime import date
from sqlite3 import Connection
from typing import TYPE_CHECKING, Literal

from cgk_jobs.clock import to_micros
from cgk_jobs.events.catalogue.reviews import ReviewEmailQueued
from cgk_jobs.examples.commerce.days import DAY, day_span
from cgk_jobs.examples.commerce.outbox import cancel_mails
from cgk_jobs.examples.commerce.people import customer_of_order

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = [
    "BATCH_SIZE",
    "QUEUED",
    "STUCK_DAYS",
    "Standing",
    "cancel",
    "count_day",
    "due",
    "enqueue",
    "mail_id_of",
    "plan",
    "rates",
    "release",
    "release_delivered",
    "release_stuck",
    "withdraw_if_settled",
]

PLANNED = "review-sequence"
QUEUED = "review-email"
TEMPLATES = ("review-request", "review-reminder")
BATCH_SIZE = 50
"""Mails that one run of the queue hands on."""
STUCK_DAYS = 7
"""How long a queued mail waits for its order's shipment."""

Standing = Literal["due", "later", "awaiting", "settled"]
"""Of a queued mail: it may leave now, at its time, once its order was shipped, or never (again)."""

COUNT_DAY = """
    INSERT INTO review_mail_days (day_on, sent, reviewed)
    SELECT :day AS day, count(*), count(DISTINCT reviews.order_id)
    FROM mails LEFT JOIN reviews ON reviews.order_id = mails.reference
    WHERE mails.kind = 'review-email' AND mails.state = 'sent' AND mails.sent_at >= :start AND mails.sent_at < :end
    GROUP BY day
    ON CONFLICT DO UPDATE SET sent = excluded.sent, reviewed = excluded.reviewed
"""


def mail_id_of(order_id: str, number: int) -> str:
    """The id of an order's first or second review mail, which is its key at the vendor."""
    return f"review:{order_id}:{number}"


def plan(app: Commerce, order_id: str) -> bool:
    """Enter both mails of a sequence as planned; false if the order has nobody to write to."""
    with app.shops.current() as db:
        customer = customer_of_order(db, order_id)
        if customer is None:
            return False
        waits = (app.review_request_after, app.review_request_after + app.review_follow_up_after)
        for number, (template, wait) in enumerate(zip(TEMPLATES, waits, strict=True), start=1):
            db.execute(
                "INSERT INTO mails (mail_id, kind, recipient, template, reference, due_at, state)"
                " VALUES (?, ?, ?, ?, ?, ?, 'awaiting') ON CONFLICT DO NOTHING",
                (
                    mail_id_of(order_id, number),
                    PLANNED,
                    customer[1],
                    template,
                    order_id,
                    app.now() + round(wait.total_seconds() * 1e6),
                ),
            )
        return True


def due(app: Commerce, order_id: str, number: int) -> tuple[str, str] | None:
    """Customer and template of a planned mail whose time has come; ``None`` if it is no longer wanted."""
    with app.shops.current() as db:
        if withdraw_if_settled(db, order_id):
            return None
        customer = customer_of_order(db, order_id)
        row = db.execute(
            "SELECT template FROM mails WHERE mail_id = ? AND state != 'cancelled'", (mail_id_of(order_id, number),)
        ).fetchone()
        return None if customer is None or row is None else (customer[0], str(row[0]))


def withdraw_if_settled(db: Connection, order_id: str) -> bool:
    """Withdraw the mails of an order that was reviewed or cancelled; says whether it was."""
    settled = db.execute(
        "SELECT 1 FROM reviews WHERE order_id = ?1 UNION ALL"
        " SELECT 1 FROM orders WHERE order_id = ?1 AND kind = 'cancelled' LIMIT 1",
        (order_id,),
    ).fetchone()
    if settled is None:
        return False
    cancel(db, order_id)
    return True


def cancel(db: Connection, order_id: str) -> int:
    """Withdraw what has not left yet; a sequence that sleeps finds out when it wakes."""
    return cancel_mails(db, PLANNED, order_id) + cancel_mails(db, QUEUED, order_id)


def enqueue(app: Commerce, event: ReviewEmailQueued) -> Standing:
    """Enter a mail in the queue; says how it stands.

    A mail of an order that was not shipped yet is held back until it is. What was sent or withdrawn before stays so.
    """
    now = app.now()
    with app.shops.current() as db:
        recipient = db.execute("SELECT email FROM customers WHERE customer_id = ?", (event.customer_id,)).fetchone()
        if recipient is None or recipient[0] is None:
            return "settled"
        shipped = db.execute("SELECT 1 FROM fulfilments WHERE order_id = ?", (event.order_id,)).fetchone()
        due_at = now if event.scheduled_for is None else to_micros(event.scheduled_for)
        state = "pending" if shipped else "awaiting"
        db.execute(
            "INSERT INTO mails (mail_id, kind, recipient, template, reference, due_at, state) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET kind = excluded.kind, due_at = excluded.due_at, state = excluded.state"
            " WHERE mails.state = 'awaiting'",
            (event.review_email_id, QUEUED, recipient[0], event.template_id, event.order_id, due_at, state),
        )
        return _standing(db, event.review_email_id, now)


def release(app: Commerce, mail_id: str) -> Standing:
    """Let go of one mail that waited for a shipment, if nobody else did; says how it stands."""
    with app.shops.current() as db:
        db.execute("UPDATE mails SET state = 'pending' WHERE mail_id = ? AND state = 'awaiting'", (mail_id,))
        return _standing(db, mail_id, app.now())


def _standing(db: Connection, mail_id: str, now: int) -> Standing:
    state, due_at = db.execute("SELECT state, due_at FROM mails WHERE mail_id = ?", (mail_id,)).fetchone()
    if state == "awaiting":
        return "awaiting"
    if state != "pending":
        return "settled"
    return "due" if due_at <= now else "later"


def release_delivered(db: Connection, order_id: str) -> int:
    """Let go of the queued mails that waited for this order's shipment.

    Their runs wait for it too, but hear only of shipments reported since they began.
    """
    return db.execute(
        "UPDATE mails SET state = 'pending' WHERE kind = ? AND reference = ? AND state = 'awaiting'", (QUEUED, order_id)
    ).rowcount


def release_stuck(db: Connection, now: int) -> int:
    """Let go of the queued mails whose shipment was never reported."""
    return db.execute(
        "UPDATE mails SET state = 'pending' WHERE kind = ? AND state = 'awaiting' AND due_at < ?",
        (QUEUED, now - STUCK_DAYS * DAY),
    ).rowcount


def count_day(db: Connection, day: date) -> None:
    """Count a day's review mails anew, and how many of their orders have a review by now."""
    start, end = day_span(day)
    db.execute(COUNT_DAY, {"day": day.isoformat(), "start": start, "end": end})


def rates(db: Connection) -> dict[str, int]:
    """How many review mails were sent, failed and were withdrawn, and how many of those sent led to a review."""
    counted = dict(db.execute("SELECT state, count(*) FROM mails WHERE kind = ? GROUP BY state", (QUEUED,)).fetchall())
    reviewed = db.execute(
        "SELECT count(DISTINCT reference) FROM mails JOIN reviews ON reviews.order_id = mails.reference"
        " WHERE kind = ? AND state = 'sent'",
        (QUEUED,),
    ).fetchone()[0]
    return {
        "sent": int(counted.get("sent", 0)),
        "failed": int(counted.get("failed", 0)),
        "cancelled": int(counted.get("cancelled", 0)),
        "reviewed": int(reviewed),
    }
