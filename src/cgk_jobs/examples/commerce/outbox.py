"""Mails that wait in a tenant's database until they are due. A mail's id is its key at the vendor: it leaves once."""

from __future__ import annotations

from sqlite3 import Connection
from typing import TYPE_CHECKING

from cgk_jobs.examples.commerce.vendors import VendorUnavailable
from cgk_jobs.tenancy import current_tenant

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["cancel_mails", "deliver_mail", "due_mails", "queue_mail", "release_failed", "send_due_mails", "send_mail"]


def queue_mail(
    db: Connection, mail_id: str, kind: str, recipient: str, template: str, reference: str, due_at: int
) -> bool:
    """Plan a mail; false if it was planned before."""
    return (
        db.execute(
            "INSERT INTO mails (mail_id, kind, recipient, template, reference, due_at) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (mail_id, kind, recipient, template, reference, due_at),
        ).rowcount
        == 1
    )


def cancel_mails(db: Connection, kind: str, reference: str, template: str = "%") -> int:
    """Withdraw what has not left yet. The rows stay, as a record of what was planned."""
    return db.execute(
        "UPDATE mails SET state = 'cancelled' WHERE kind = ? AND reference = ? AND template LIKE ?"
        " AND state IN ('pending', 'awaiting', 'failed')",
        (kind, reference, template),
    ).rowcount


def release_failed(db: Connection, kind: str, now: int, most_attempts: int = 5) -> int:
    """Make failed mails due again, each at most ``most_attempts`` times."""
    return db.execute(
        "UPDATE mails SET state = 'pending', due_at = ? WHERE kind = ? AND state = 'failed' AND attempts < ?",
        (now, kind, most_attempts),
    ).rowcount


def due_mails(db: Connection, kind: str, now: int, most: int) -> list[tuple[str, int]]:
    """Up to ``most`` mails of a kind that are due, the longest due first: id and attempts so far of each."""
    return db.execute(
        "SELECT mail_id, attempts FROM mails WHERE kind = ? AND state = 'pending' AND due_at <= ? ORDER BY due_at LIMIT ?",
        (kind, now, most),
    ).fetchall()


async def deliver_mail(app: Commerce, mail_id: str) -> bool:
    """Send one planned mail; false if it was sent before, was cancelled, or is unknown.

    Raises ``VendorUnavailable``; the mail is then failed, the attempt counted, and ``due_at`` the moment it failed.
    """
    with app.shops.current() as db:
        row = db.execute(
            "SELECT recipient, template, reference FROM mails WHERE mail_id = ? AND state NOT IN ('sent', 'cancelled')",
            (mail_id,),
        ).fetchone()
    if row is None:
        return False
    try:
        await app.mailer.mail(current_tenant(), mail_id, *row)
    except VendorUnavailable:
        with app.shops.current() as db:
            # Whoever cancelled it meanwhile is right.
            db.execute(
                "UPDATE mails SET state = 'failed', attempts = attempts + 1, due_at = ?"
                " WHERE mail_id = ? AND state != 'cancelled'",
                (app.now(), mail_id),
            )
        raise
    with app.shops.current() as db:
        db.execute(
            "UPDATE mails SET state = 'sent', attempts = attempts + 1, sent_at = ? WHERE mail_id = ?",
            (app.now(), mail_id),
        )
    return True


async def send_mail(app: Commerce, mail_id: str) -> bool:
    """As ``deliver_mail``, and false as well if the vendor did not answer: the mail is then failed."""
    try:
        return await deliver_mail(app, mail_id)
    except VendorUnavailable:
        return False


async def send_due_mails(app: Commerce, kind: str, most: int) -> int:
    """Send up to ``most`` mails of a kind that are due; says how many left."""
    with app.shops.current() as db:
        due = due_mails(db, kind, app.now(), most)
    sent = 0
    for mail_id, _ in due:
        sent += await send_mail(app, mail_id)
    return sent
