"""The two mails that ask for a review. Each function is a step of a run, so it may happen twice and must not show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgk_jobs.examples.commerce.outbox import cancel_mails
from cgk_jobs.examples.commerce.people import customer_of_order
from cgk_jobs.tenancy import current_tenant

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["KIND", "TEMPLATES", "cancel", "plan", "send"]

KIND = "review-sequence"
TEMPLATES = ("review-request", "review-reminder")


def plan(app: Commerce, order_id: str) -> bool:
    """Enter both mails as planned; false if the order has nobody to write to."""
    with app.shops.current() as db:
        customer = customer_of_order(db, order_id)
        if customer is None:
            return False
        for number, template in enumerate(TEMPLATES, start=1):
            db.execute(
                "INSERT INTO mails (mail_id, kind, recipient, template, reference, due_at, state)"
                " VALUES (?, ?, ?, ?, ?, ?, 'awaiting') ON CONFLICT DO NOTHING",
                (_mail_id(order_id, number), KIND, customer[1], template, order_id, app.now()),
            )
        return True


async def send(app: Commerce, order_id: str, number: int) -> bool:
    """Send mail 1 or 2; false if it was cancelled or the review is there, which cancels the rest."""
    mail_id = _mail_id(order_id, number)
    with app.shops.current() as db:
        if db.execute("SELECT 1 FROM reviews WHERE order_id = ?", (order_id,)).fetchone():
            cancel_mails(db, KIND, order_id)
            return False
        row = db.execute(
            "SELECT recipient, template, state FROM mails WHERE mail_id = ? AND state != 'cancelled'",
            (mail_id,),
        ).fetchone()
    if row is None:
        return False
    recipient, template, state = row
    if state != "sent":
        await app.mailer.mail(current_tenant(), mail_id, recipient, template, order_id)
        with app.shops.current() as db:
            db.execute(
                "UPDATE mails SET state = 'sent', attempts = attempts + 1, sent_at = ? WHERE mail_id = ?",
                (app.now(), mail_id),
            )
    return True


def cancel(app: Commerce, order_id: str) -> int:
    """Withdraw what has not left yet; a run that sleeps finds out when it wakes."""
    with app.shops.current() as db:
        return cancel_mails(db, KIND, order_id)


def _mail_id(order_id: str, number: int) -> str:
    return f"review:{order_id}:{number}"
