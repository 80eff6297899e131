"""A tenant's figures by hour, day and week. Each is made anew from what lies below it, so a rerun overwrites."""

from __future__ import annotations

from datetime import date, timedelta
from sqlite3 import Connection
from typing import NamedTuple

from cgk_jobs.examples.commerce.days import HOUR, day_span, span

__all__ = ["Day", "busy_days", "day_of", "measure_days", "measure_hours", "measure_week", "money"]

MEASURE_HOURS = """
    INSERT INTO metric_hours (hour_at, orders, revenue_cents)
    SELECT booked_at / :hour * :hour AS hour_at, sum(kind = 'created'), sum(amount_cents)
    FROM orders WHERE booked_at >= :start AND booked_at < :end GROUP BY hour_at
    ON CONFLICT DO UPDATE SET orders = excluded.orders, revenue_cents = excluded.revenue_cents
"""
MEASURE_DAYS = """
    INSERT INTO metric_days (day_on, orders, revenue_cents, refunds_cents, customers)
    SELECT date(booked_at / 1000000, 'unixepoch') AS day, sum(kind = 'created'), sum(amount_cents),
           -coalesce(sum(CASE WHEN kind IN ('cancelled', 'refunded') THEN amount_cents END), 0),
           count(DISTINCT customer_id)
    FROM orders WHERE booked_at >= :start AND booked_at < :end GROUP BY day
    ON CONFLICT DO UPDATE SET orders = excluded.orders, revenue_cents = excluded.revenue_cents,
                              refunds_cents = excluded.refunds_cents, customers = excluded.customers
"""
BUSY_DAYS = """
    SELECT DISTINCT date(booked_at / 1000000, 'unixepoch') AS day FROM orders
    WHERE booked_at >= ? AND booked_at < ? ORDER BY day
"""
MEASURE_WEEK = """
    INSERT INTO metric_weeks (week_on, orders, revenue_cents, before_cents)
    SELECT :monday AS week, sum(CASE WHEN day_on >= :monday THEN orders ELSE 0 END),
           sum(CASE WHEN day_on >= :monday THEN revenue_cents ELSE 0 END),
           sum(CASE WHEN day_on < :monday THEN revenue_cents ELSE 0 END)
    FROM metric_days WHERE day_on >= :before AND day_on < :next GROUP BY week
    ON CONFLICT DO UPDATE SET orders = excluded.orders, revenue_cents = excluded.revenue_cents,
                              before_cents = excluded.before_cents
"""


class Day(NamedTuple):
    """A day's orders, revenue, and the cents given back, in the minor unit of the shop's currency."""

    orders: int
    revenue_cents: int
    refunds_cents: int


def measure_hours(db: Connection, start: int, end: int) -> int:
    """Fold the orders of the hours in a span into totals; says how many hours had any."""
    return db.execute(MEASURE_HOURS, {"start": start, "end": end, "hour": HOUR}).rowcount


def busy_days(db: Connection, first: date, last: date) -> list[date]:
    """The days between, both included, on which something was booked."""
    start, end = span(first, last)
    rows = db.execute(BUSY_DAYS, (start, end)).fetchall()
    return [date.fromisoformat(day) for (day,) in rows]


def measure_days(db: Connection, first: date, last: date) -> int:
    """Store the snapshots of these days and those between; says how many had orders."""
    return db.execute(MEASURE_DAYS, {"start": day_span(first)[0], "end": day_span(last)[1]}).rowcount


def measure_week(db: Connection, monday: date) -> bool:
    """Sum the week that begins on ``monday`` beside the one before it; false if neither had any order."""
    week = timedelta(days=7)
    return (
        db.execute(
            MEASURE_WEEK,
            {"monday": monday.isoformat(), "before": (monday - week).isoformat(), "next": (monday + week).isoformat()},
        ).rowcount
        == 1
    )


def day_of(db: Connection, day: date) -> Day:
    """A day's figures, straight from the orders."""
    row = db.execute(
        "SELECT coalesce(sum(kind = 'created'), 0), coalesce(sum(amount_cents), 0),"
        " -coalesce(sum(CASE WHEN kind IN ('cancelled', 'refunded') THEN amount_cents END), 0)"
        " FROM orders WHERE booked_at >= ? AND booked_at < ?",
        day_span(day),
    ).fetchone()
    return Day(*row)


def money(cents: int) -> str:
    """An amount as a person reads it: ``-12.05``."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100:,}.{abs(cents) % 100:02}"
