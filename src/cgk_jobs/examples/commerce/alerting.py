"""Alerts: posted to the team and kept, once for each occasion."""

from __future__ import annotations

from sqlite3 import Connection
from typing import TYPE_CHECKING, Literal

from cgk_jobs.examples.commerce.days import HOUR
from cgk_jobs.tenancy import current_tenant

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["Severity", "hourly", "page", "raise_alert", "store_alert"]

Severity = Literal["critical", "error", "warning", "info"]

CHANNELS: dict[Severity, str] = {"critical": "#incidents", "error": "#alerts", "warning": "#alerts", "info": "#news"}


def hourly(kind: str, subject: str, now: int) -> str:
    """The id of an alert that a subject raises at most once an hour, however often it is reported."""
    return f"{kind}:{subject}:{now // HOUR}"


def store_alert(db: Connection, alert_id: str, severity: Severity, title: str, message: str, *, now: int) -> bool:
    """Keep an alert; false if it is known."""
    return (
        db.execute(
            "INSERT INTO alerts (alert_id, severity, title, message, raised_at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (alert_id, severity, title, message, now),
        ).rowcount
        == 1
    )


async def raise_alert(app: Commerce, alert_id: str, severity: Severity, title: str, message: str) -> bool:
    """Post an alert and keep it; false, and nothing is posted, if it is known.

    It is kept only after it was posted: a crash in between posts again under the same key, which the vendor drops.
    """
    with app.shops.current() as db:
        if db.execute("SELECT 1 FROM alerts WHERE alert_id = ?", (alert_id,)).fetchone():
            return False
    await app.chat.post(current_tenant(), alert_id, CHANNELS[severity], f"{title}: {message}")
    with app.shops.current() as db:
        return store_alert(db, alert_id, severity, title, message, now=app.now())


async def page(app: Commerce, incident_id: str, phone: str, text: str) -> bool:
    """Text somebody on call, once per incident; false without the person's consent.

    Quiet hours do not hold it back: being woken is what the consent of people on call is about.
    """
    with app.shops.current() as db:
        consents = db.execute("SELECT 1 FROM on_call WHERE phone = ? AND sms_consent = 1", (phone,)).fetchone()
    if consents is None:
        return False
    await app.sms.text(current_tenant(), f"page:{incident_id}:{phone}", phone, text)
    return True
