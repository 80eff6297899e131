"""Documents that wait for signatures."""

from __future__ import annotations

from sqlite3 import Connection

from cgk_jobs.examples.commerce.days import DAY
from cgk_jobs.examples.commerce.outbox import cancel_mails

__all__ = ["KIND", "expire", "expiring", "remind"]

KIND = "esign"
REMIND_AFTER_DAYS = 2
REMIND_EVERY_DAYS = 3

REMIND = """
    INSERT INTO mails (mail_id, kind, recipient, template, reference, due_at)
    SELECT 'sign:' || document_id || ':' || email || ':' || ((:now - sent_at) / (:every * :day)), 'esign', email,
           'sign-reminder', document_id, :now
    FROM sign_documents JOIN signers USING (document_id)
    WHERE state = 'open' AND expires_at > :now AND signed_at IS NULL AND sent_at <= :now - :after * :day
      AND coalesce(reminded_at, 0) <= :now - :every * :day
    ON CONFLICT DO NOTHING
"""
REMINDED = """
    UPDATE signers SET reminded_at = :now WHERE signed_at IS NULL AND coalesce(reminded_at, 0) <= :now - :every * :day
      AND document_id IN (SELECT document_id FROM sign_documents
                          WHERE state = 'open' AND expires_at > :now AND sent_at <= :now - :after * :day)
"""


def remind(db: Connection, now: int) -> int:
    """Plan a mail to everyone who has not signed for two days, and again every three; says how many.

    The schedule asks twice a day, so that a signer is reminded within hours of being due, not so that one is twice.
    """
    times = {"now": now, "day": DAY, "after": REMIND_AFTER_DAYS, "every": REMIND_EVERY_DAYS}
    planned = db.execute(REMIND, times).rowcount
    if planned:
        db.execute(REMINDED, times)
    return planned


def expire(db: Connection, now: int) -> list[str]:
    """Close the open documents whose time is over and withdraw their reminders; the ids of those documents."""
    expired = [
        str(row[0])
        for row in db.execute(
            "UPDATE sign_documents SET state = 'expired' WHERE state = 'open' AND expires_at <= ? RETURNING document_id",
            (now,),
        ).fetchall()
    ]
    for document_id in expired:
        cancel_mails(db, KIND, document_id)
    return expired


def expiring(db: Connection, now: int, days: int = 7) -> list[tuple[str, str]]:
    """Open documents that expire within ``days`` days: id and title, the most pressing first."""
    return db.execute(
        "SELECT document_id, title FROM sign_documents WHERE state = 'open' AND expires_at BETWEEN ? AND ?"
        " ORDER BY expires_at",
        (now, now + days * DAY),
    ).fetchall()
