"""Mails to creators: planned in the tenant's outbox, sent twenty at a time, withdrawn when they no longer fit.

A reminder is one statement: it plans the mail of everyone who is due, and the mail's id names the occasion, so a second run
on the same occasion plans nothing.
"""

from __future__ import annotations

from datetime import date, timedelta
from sqlite3 import Connection

from cgk_jobs.examples.commerce.days import DAY
from cgk_jobs.examples.commerce.outbox import cancel_mails, queue_mail
from cgk_jobs.examples.commerce.people import creator_email

__all__ = [
    "BATCH_SIZE",
    "KIND",
    "WELCOME_DAYS",
    "plan_welcome",
    "queue_for_creator",
    "queue_for_payout",
    "queue_for_project",
    "remind_after_delivery",
    "remind_never_logged_in",
    "remind_of_deadlines",
    "remind_of_tax_forms",
    "remind_of_welcome_call",
    "remind_silent",
    "remind_stalled",
    "stop_setup_reminders",
]

KIND = "creator"
BATCH_SIZE = 20
"""Mails that one run of the queue sends."""
WELCOME_DAYS = (0, 2, 5, 10)
"""Days after the approval on which the parts of the welcome series leave."""

NEVER_LOGGED_IN = """
    INSERT INTO mails (mail_id, kind, recipient, template, reference, due_at)
    SELECT 'login:' || creator_id || ':' || ((:now - approved_at) / (3 * :day)), 'creator', email, 'setup-login',
           creator_id, :now
    FROM creators JOIN creator_progress USING (creator_id)
    WHERE state = 'approved' AND logged_in_at IS NULL AND approved_at BETWEEN :now - 15 * :day AND :now - 3 * :day
    ON CONFLICT DO NOTHING
"""
STALLED = """
    INSERT INTO mails (mail_id, kind, recipient, template, reference, due_at)
    SELECT :template || ':' || creator_id || ':' || ((:now - approved_at - :after * :day) / (:every * :day)), 'creator',
           email, :template, creator_id, :now
    FROM creators JOIN creator_progress USING (creator_id)
    WHERE state = 'approved' AND set_up = 0 AND logged_in_at IS NOT NULL
      AND approved_at BETWEEN :now - 30 * :day AND :now - :after * :day
    ON CONFLICT DO NOTHING
"""
WELCOME_CALL = """
    INSERT INTO mails (mail_id, kind, recipient, template, reference, due_at)
    SELECT 'call:' || creator_id || ':' || ((:now - approved_at - :day) / (3 * :day)), 'creator', email, 'welcome-call',
           creator_id, :now
    FROM creators JOIN creator_progress USING (creator_id)
    WHERE state = 'approved' AND set_up = 1 AND call_booked_at IS NULL
      AND approved_at BETWEEN :now - 9 * :day AND :now - :day
    ON CONFLICT DO NOTHING
"""
AFTER_DELIVERY = """
    INSERT INTO mails (mail_id, kind, recipient, template, reference, due_at)
    SELECT 'delivered:' || parcel_id, 'creator', email, 'project-delivered', parcels.creator_id, :now
    FROM parcels JOIN creators USING (creator_id)
    WHERE parcels.state = 'delivered' AND kind = 'product' AND delivered_at BETWEEN :now - 12 * :day AND :now - 5 * :day
      AND NOT EXISTS (SELECT 1 FROM projects WHERE projects.project_id = parcels.project_id
                      AND projects.state IN ('submitted', 'approved', 'cancelled'))
    ON CONFLICT DO NOTHING
"""
DEADLINES = """
    INSERT INTO mails (mail_id, kind, recipient, template, reference, due_at)
    SELECT 'deadline:' || project_id || ':' || deadline_on || ':' || :days, 'creator', email,
           'deadline-in-' || :days, projects.creator_id, :now
    FROM projects JOIN creators USING (creator_id)
    WHERE projects.state IN ('in_progress', 'overdue') AND deadline_on = :deadline
    ON CONFLICT DO NOTHING
"""
SILENT = """
    INSERT INTO mails (mail_id, kind, recipient, template, reference, due_at)
    SELECT 'silent:' || creator_id || ':' || written_to_at, 'creator', email, 'no-response', creator_id, :now
    FROM creators JOIN creator_progress USING (creator_id)
    WHERE state = 'approved' AND written_to_at BETWEEN :now - 30 * :day AND :now - 2 * :day
      AND coalesce(answered_at, 0) < written_to_at
    ON CONFLICT DO NOTHING
"""
TAX_FORMS = """
    INSERT INTO mails (mail_id, kind, recipient, template, reference, due_at)
    SELECT 'tax-form:' || creator_id || ':' || :week, 'creator', email, 'tax-form', creator_id, :now
    FROM creators LEFT JOIN creator_progress USING (creator_id)
    WHERE country = 'US' AND tax_form_on IS NULL AND :threshold <= (
        SELECT coalesce(sum(amount_cents), 0) FROM payouts
        WHERE payouts.creator_id = creators.creator_id AND currency = 'USD' AND state IN ('sent', 'completed')
          AND requested_at >= :since)
    ON CONFLICT DO NOTHING
"""


def queue_for_creator(db: Connection, mail_id: str, creator_id: str, template: str, due_at: int) -> bool:
    """Plan a mail; false if it was planned before or the creator is unknown."""
    email = creator_email(db, creator_id)
    return email is not None and queue_mail(db, mail_id, KIND, email, template, creator_id, due_at)


def queue_for_project(db: Connection, project_id: str, template: str, due_at: int) -> bool:
    """Plan a mail about a project to the creator who works on it."""
    row = db.execute("SELECT creator_id FROM projects WHERE project_id = ?", (project_id,)).fetchone()
    return row is not None and queue_for_creator(db, f"project:{project_id}:{template}", row[0], template, due_at)


def queue_for_payout(db: Connection, payout_id: str, template: str, due_at: int) -> bool:
    """Plan a mail about a payout to the creator it belongs to."""
    row = db.execute("SELECT creator_id FROM payouts WHERE payout_id = ?", (payout_id,)).fetchone()
    return row is not None and queue_for_creator(db, f"payout:{payout_id}:{template}", row[0], template, due_at)


def plan_welcome(db: Connection, creator_id: str, start: int) -> int:
    """Plan the welcome series from ``start`` on; says how many of its mails were new."""
    return sum(
        queue_for_creator(db, f"welcome:{creator_id}:{part}", creator_id, f"welcome-{part}", start + days * DAY)
        for part, days in enumerate(WELCOME_DAYS, start=1)
    )


def stop_setup_reminders(db: Connection, creator_id: str) -> int:
    """Withdraw what nags about the set-up; the welcome series goes on."""
    return cancel_mails(db, KIND, creator_id, "setup-%")


def remind_never_logged_in(db: Connection, now: int) -> int:
    """Every three days, from the third day after the approval to the fifteenth."""
    return db.execute(NEVER_LOGGED_IN, {"now": now, "day": DAY}).rowcount


def remind_stalled(db: Connection, now: int, template: str, after: int, every: int) -> int:
    """Those who logged in and did not finish: ``after`` days, then each ``every`` days for a month."""
    return db.execute(STALLED, {"now": now, "day": DAY, "template": template, "after": after, "every": every}).rowcount


def remind_of_welcome_call(db: Connection, now: int) -> int:
    """Those whose account is ready and who booked no call: every three days, three times at most."""
    return db.execute(WELCOME_CALL, {"now": now, "day": DAY}).rowcount


def remind_after_delivery(db: Connection, now: int) -> int:
    """Five days after the product arrived, unless the work was handed in."""
    return db.execute(AFTER_DELIVERY, {"now": now, "day": DAY}).rowcount


def remind_of_deadlines(db: Connection, now: int, today: date) -> int:
    """Three days and one day before a project's deadline."""
    return sum(
        db.execute(
            DEADLINES, {"now": now, "days": days, "deadline": (today + timedelta(days=days)).isoformat()}
        ).rowcount
        for days in (3, 1)
    )


def remind_silent(db: Connection, now: int) -> int:
    """Those who did not answer for two days, once for each message of ours."""
    return db.execute(SILENT, {"now": now, "day": DAY}).rowcount


def remind_of_tax_forms(db: Connection, now: int, week: str, since: int, threshold_cents: int) -> int:
    """US payees without a tax form who were paid ``threshold_cents`` or more ``since`` then; once a week."""
    return db.execute(TAX_FORMS, {"now": now, "week": week, "since": since, "threshold": threshold_cents}).rowcount
