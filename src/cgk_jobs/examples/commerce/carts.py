"""Carts that were left, and the reminders that bring their owners back: three at most, planned one after the other."""

from __future__ import annotations

from sqlite3 import Connection
from typing import TYPE_CHECKING

from cgk_jobs.examples.commerce.days import DAY, HOUR
from cgk_jobs.examples.commerce.outbox import cancel_mails, deliver_mail, queue_mail

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["BATCH_SIZE", "EXPIRE_DAYS", "abandon_idle", "due_reminders", "expire", "mail_id_of", "plan", "remind"]

KIND = "recovery"
TEMPLATE = "cart-reminder-"
BATCH_SIZE = 50
IDLE = HOUR
"""How long a cart lies untouched before it counts as left."""
WAITS = (0, DAY, 3 * DAY)
"""From the moment a cart counts as left to its first, second and third reminder."""
EXPIRE_DAYS = 30
AT_ONCE, MOST_ATTEMPTS = 3, 9


def mail_id_of(checkout_id: str, number: int) -> str:
    """The id of a cart's first, second or third reminder."""
    return f"recovery:{checkout_id}:{number}"


def abandon_idle(db: Connection, now: int) -> int:
    """Mark the carts nobody touched for an hour as left, and plan the first reminder of each; says how many."""
    left = db.execute(
        "UPDATE checkouts SET state = 'abandoned' WHERE state = 'open' AND touched_at < ? RETURNING checkout_id",
        (now - IDLE,),
    ).fetchall()
    for (checkout_id,) in left:
        plan(db, checkout_id, 1, now)
    return len(left)


def plan(db: Connection, checkout_id: str, number: int, due_at: int) -> bool:
    """Plan a reminder of a cart that is still open; false if it was planned before or the cart is closed."""
    row = db.execute(
        "SELECT email FROM checkouts WHERE checkout_id = ? AND state IN ('open', 'abandoned')", (checkout_id,)
    ).fetchone()
    return row is not None and queue_mail(
        db, mail_id_of(checkout_id, number), KIND, row[0], f"{TEMPLATE}{number}", checkout_id, due_at
    )


def due_reminders(db: Connection, now: int, most: int) -> list[tuple[str, int]]:
    """Cart and number of up to ``most`` reminders that are due, those that failed before among them.

    A failed one is tried three times at once, then hourly, nine times in all.
    """
    db.execute(
        "UPDATE mails SET state = 'pending', due_at = ?1 WHERE kind = ?2 AND state = 'failed'"
        " AND (attempts < ?3 OR (attempts < ?4 AND due_at <= ?5))",
        (now, KIND, AT_ONCE, MOST_ATTEMPTS, now - HOUR),
    )
    rows = db.execute(
        "SELECT reference, template FROM mails WHERE kind = ? AND state = 'pending' AND due_at <= ?"
        " ORDER BY due_at LIMIT ?",
        (KIND, now, most),
    ).fetchall()
    return [(checkout_id, int(template.removeprefix(TEMPLATE))) for checkout_id, template in rows]


async def remind(app: Commerce, checkout_id: str, number: int) -> bool:
    """Send one of the three reminders and plan the next; says whether it left.

    If the cart was bought or closed meanwhile, the rest is withdrawn. Raises ``VendorUnavailable``.
    """
    if number > len(WAITS):
        return False
    with app.shops.current() as db:
        row = db.execute("SELECT state FROM checkouts WHERE checkout_id = ?", (checkout_id,)).fetchone()
        if row is None or row[0] in ("completed", "expired"):
            cancel_mails(db, KIND, checkout_id)
            return False
        plan(db, checkout_id, number, app.now())
    left = await deliver_mail(app, mail_id_of(checkout_id, number))
    if number < len(WAITS):
        with app.shops.current() as db:
            plan(db, checkout_id, number + 1, app.now() + WAITS[number] - WAITS[number - 1])
    return left


def expire(db: Connection, now: int, days: int) -> int:
    """Close the carts untouched for so many days and withdraw their reminders; says how many."""
    closed = db.execute(
        "UPDATE checkouts SET state = 'expired' WHERE state IN ('open', 'abandoned') AND touched_at < ?"
        " RETURNING checkout_id",
        (now - days * DAY,),
    ).fetchall()
    for (checkout_id,) in closed:
        cancel_mails(db, KIND, checkout_id)
    return len(closed)
