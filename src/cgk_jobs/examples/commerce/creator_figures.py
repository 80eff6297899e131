"""Figures about creators: by day, week and month. A rerun overwrites what it counted before."""

from __future__ import annotations

import json
from datetime import date, timedelta
from sqlite3 import Connection
from typing import Any

from cgk_jobs.examples.commerce.days import day_span, span

__all__ = ["count_day", "report_month", "sum_week_up"]

COUNT = """
    INSERT INTO creator_days (day_on, creator_id, orders, earned_cents, mails)
    SELECT :day, creator_id, sum(orders), sum(earned), sum(mails) FROM (
        SELECT creator_id, 1 AS orders, amount_cents AS earned, 0 AS mails FROM commissions
        WHERE earned_at >= :start AND earned_at < :end AND state != 'reversed'
        UNION ALL
        SELECT reference, 0, 0, 1 FROM mails
        WHERE kind = 'creator' AND state = 'sent' AND sent_at >= :start AND sent_at < :end)
    GROUP BY creator_id
"""
EARNERS = "SELECT DISTINCT creator_id FROM creator_days WHERE day_on >= ? AND day_on < ? AND earned_cents > 0"


def count_day(db: Connection, day: date) -> int:
    """Count a day anew; says how many creators had anything."""
    start, end = day_span(day)
    db.execute("DELETE FROM creator_days WHERE day_on = ?", (day.isoformat(),))
    return db.execute(COUNT, {"day": day.isoformat(), "start": start, "end": end}).rowcount


def sum_week_up(db: Connection, end: date) -> bool:
    """Keep a digest of the seven days before ``end``; false if creators had nothing in those nor in the seven before.

    At risk is who earned in the week before and not in this one.
    """
    before, start = end - timedelta(days=14), end - timedelta(days=7)
    earlier, now = _earners(db, before, start), _earners(db, start, end)
    if not earlier and not now:
        return False
    _keep(db, "creators-week", start, {"earning": len(now), "at_risk": sorted(earlier - now)})
    return True


def report_month(db: Connection, month: date) -> bool:
    """Keep a digest of the month that begins at ``month``; false if there are no creators.

    The funnel counts who stands where now; earnings are by currency; churned is who earned in the month before only.
    """
    funnel: dict[str, int] = dict(db.execute("SELECT state, count(*) FROM creators GROUP BY state").fetchall())
    if not funnel:
        return False
    following = (month + timedelta(days=32)).replace(day=1)
    previous = (month - timedelta(days=1)).replace(day=1)
    start, end = span(month, following - timedelta(days=1))
    earned: dict[str, int] = dict(
        db.execute(
            "SELECT currency, sum(amount_cents) FROM commissions WHERE earned_at >= ? AND earned_at < ?"
            " AND state != 'reversed' GROUP BY currency",
            (start, end),
        ).fetchall()
    )
    churned = sorted(_earners(db, previous, month) - _earners(db, month, following))
    _keep(db, "creators-month", month, {"funnel": funnel, "earned_cents": earned, "churned": churned})
    return True


def _earners(db: Connection, start: date, end: date) -> set[str]:
    return {str(row[0]) for row in db.execute(EARNERS, (start.isoformat(), end.isoformat()))}


def _keep(db: Connection, kind: str, day: date, body: dict[str, Any]) -> None:
    db.execute(
        "INSERT INTO digests (kind, day_on, body) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
        (kind, day.isoformat(), json.dumps(body, sort_keys=True)),
    )
