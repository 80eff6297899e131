"""Applications to become a creator, from the first click to the answer. Every step may be taken twice."""

from __future__ import annotations

from sqlite3 import Connection
from typing import TYPE_CHECKING, Literal

from cgk_jobs.examples.commerce.creator_mails import KIND, plan_welcome, queue_for_creator
from cgk_jobs.examples.commerce.days import DAY, HOUR
from cgk_jobs.examples.commerce.outbox import cancel_mails, queue_mail
from cgk_jobs.examples.commerce.people import setting
from cgk_jobs.examples.commerce.quiet_hours import is_quiet
from cgk_jobs.tenancy import current_tenant

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["approve", "enter_pipeline", "note_step", "reject", "submit", "win_back"]

MOST_TEXTS = 10
"""Text messages of one run."""


def submit(db: Connection, application_id: str, creator_id: str, email: str, now: int) -> bool:
    """Enter the applicant; false if that was done before."""
    db.execute(
        "INSERT INTO applications (application_id, creator_id, email, state, touched_at) VALUES (?, ?, ?, 'submitted', ?)"
        " ON CONFLICT DO UPDATE SET creator_id = excluded.creator_id, state = 'submitted', touched_at = excluded.touched_at"
        " WHERE state = 'started'",
        (application_id, creator_id, email, now),
    )
    cancel_mails(db, KIND, application_id)
    new = db.execute(
        "INSERT INTO creators (creator_id, name, email) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (creator_id, email.partition("@")[0], email),
    )
    note_step(db, creator_id, "submitted", now)
    enter_pipeline(db, creator_id, now)
    return new.rowcount == 1


def note_step(db: Connection, creator_id: str, step: str, now: int) -> bool:
    """Note when a step of the form was first reached."""
    return (
        db.execute(
            "INSERT INTO application_steps (creator_id, step, reached_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (creator_id, step, now),
        ).rowcount
        == 1
    )


def enter_pipeline(db: Connection, creator_id: str, now: int) -> bool:
    """Put an applicant at the beginning of the recruiting pipeline, unless already in it."""
    return (
        db.execute(
            "INSERT INTO recruiting_pipeline (creator_id, stage, entered_at) VALUES (?, 'applied', ?)"
            " ON CONFLICT DO NOTHING",
            (creator_id, now),
        ).rowcount
        == 1
    )


def approve(db: Connection, creator_id: str, now: int) -> bool:
    """Accept an applicant and plan the notice and the welcome series; false if there is no open application."""
    if not _decide(db, creator_id, "approved", now):
        return False
    db.execute(
        "INSERT INTO creator_progress (creator_id, approved_at) VALUES (?, ?)"
        " ON CONFLICT DO UPDATE SET approved_at = excluded.approved_at",
        (creator_id, now),
    )
    queue_for_creator(db, f"approved:{creator_id}", creator_id, "application-approved", now)
    plan_welcome(db, creator_id, now)
    return True


def reject(db: Connection, creator_id: str, now: int) -> bool:
    """Refuse an applicant: what was planned is withdrawn, the notice takes its place."""
    if not _decide(db, creator_id, "rejected", now):
        return False
    cancel_mails(db, KIND, creator_id)
    queue_for_creator(db, f"rejected:{creator_id}", creator_id, "application-rejected", now)
    return True


def _decide(db: Connection, creator_id: str, decision: Literal["approved", "rejected"], now: int) -> bool:
    decided = db.execute(
        "UPDATE creators SET state = ? WHERE creator_id = ? AND state = 'applied'", (decision, creator_id)
    )
    if decided.rowcount != 1:
        return False
    db.execute(
        "UPDATE applications SET state = ?, touched_at = ? WHERE creator_id = ? AND state = 'submitted'",
        (decision, now, creator_id),
    )
    db.execute(
        "INSERT INTO recruiting_pipeline (creator_id, stage, entered_at) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET stage = excluded.stage, entered_at = excluded.entered_at",
        (creator_id, decision, now),
    )
    return True


async def win_back(app: Commerce) -> tuple[int, int]:
    """Remind of unfinished applications: by text after an hour, by mail after a day. Says how many of each.

    A text needs consent and waits for the end of the quiet hours of the tenant's zone; the mail needs neither. An
    application untouched for a week is left alone.
    """
    now = app.now()
    with app.shops.current() as db:
        idle = db.execute(
            "SELECT application_id, phone, email, touched_at, texted_at, sms_consent FROM applications"
            " WHERE state = 'started' AND touched_at BETWEEN ? AND ? ORDER BY touched_at",
            (now - 7 * DAY, now - HOUR),
        ).fetchall()
        if not idle:
            return 0, 0
        quiet = is_quiet(now, setting(db, "timezone", "UTC"))
        mails = sum(
            queue_mail(db, f"unfinished:{application_id}", KIND, email, "application-unfinished", application_id, now)
            for application_id, _, email, touched_at, _, _ in idle
            if touched_at <= now - DAY
        )
    due = [
        (application_id, phone)
        for application_id, phone, _, _, texted_at, consent in idle
        if phone and consent and texted_at is None
    ]
    texts = [] if quiet else due[:MOST_TEXTS]
    for application_id, phone in texts:
        await app.sms.text(current_tenant(), f"unfinished:{application_id}", phone, "Your application is nearly done.")
        with app.shops.current() as db:
            db.execute("UPDATE applications SET texted_at = ? WHERE application_id = ?", (now, application_id))
    return len(texts), mails
