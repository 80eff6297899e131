"""Figures of a tenant's experiments. A day's figures are always made anew from the orders, so a rerun changes nothing."""

from __future__ import annotations

import json
from datetime import date
from sqlite3 import Connection

from cgk_jobs.clock import from_micros
from cgk_jobs.examples.commerce.days import DAY, day_span
from cgk_jobs.examples.commerce.orders import assign_variants

__all__ = ["attach_missed_orders", "measure", "measure_all", "optimize", "rebuild", "start_and_stop", "summary"]

MEASURE = """
    INSERT INTO ab_metrics (test_id, variant, day_on, orders, revenue_cents)
    SELECT test_id, variant, ?, count(*), sum(amount_cents) FROM ab_orders
    WHERE assigned_at >= ? AND assigned_at < ? AND order_id NOT IN (SELECT order_id FROM ab_exclusions)
    GROUP BY test_id, variant
    ON CONFLICT DO UPDATE SET orders = excluded.orders, revenue_cents = excluded.revenue_cents
"""

SMALLEST_WEIGHT = 10
"""Of 100: no variant is starved, or it could never recover."""


def measure(db: Connection, day: date) -> int:
    """Count a day's orders and revenue per variant; says how many variants had any."""
    start, end = day_span(day)
    return db.execute(MEASURE, (day.isoformat(), start, end)).rowcount


def rebuild(db: Connection, day: date) -> int:
    """As ``measure``, but first forget what was counted: variants whose orders were all excluded go as well."""
    db.execute("DELETE FROM ab_metrics WHERE day_on = ?", (day.isoformat(),))
    return measure(db, day)


def measure_all(db: Connection, test_id: str) -> None:
    """Count one experiment anew from its first order to its last."""
    db.execute("DELETE FROM ab_metrics WHERE test_id = ?", (test_id,))
    db.execute(
        "INSERT INTO ab_metrics (test_id, variant, day_on, orders, revenue_cents)"
        " SELECT test_id, variant, date(assigned_at / 1000000, 'unixepoch') AS day, count(*), sum(amount_cents)"
        " FROM ab_orders WHERE test_id = ? AND order_id NOT IN (SELECT order_id FROM ab_exclusions)"
        " GROUP BY variant, day",
        (test_id,),
    )


def attach_missed_orders(db: Connection, since: int, order_id: str | None = None) -> int:
    """Assign the orders that no running experiment knows; says how many there were."""
    missed = db.execute(
        "SELECT order_id, customer_id, amount_cents, booked_at FROM orders WHERE kind = 'created'"
        " AND booked_at >= ?1 AND (?2 IS NULL OR order_id = ?2)"
        " AND EXISTS (SELECT 1 FROM ab_tests WHERE state = 'running' AND test_id NOT IN"
        " (SELECT test_id FROM ab_orders WHERE ab_orders.order_id = orders.order_id))",
        (since, order_id),
    ).fetchall()
    for missed_id, customer_id, amount_cents, booked_at in missed:
        assign_variants(db, missed_id, customer_id, amount_cents, booked_at)
    return len(missed)


def start_and_stop(db: Connection, now: int) -> int:
    """Start drafts and end running experiments whose time has come; says how many changed."""
    started = db.execute("UPDATE ab_tests SET state = 'running' WHERE state = 'draft' AND starts_at <= ?", (now,))
    ended = db.execute("UPDATE ab_tests SET state = 'ended' WHERE state = 'running' AND ends_at <= ?", (now,))
    return started.rowcount + ended.rowcount


def optimize(db: Connection, now: int, test_id: str | None = None) -> int:
    """Weigh the variants of running experiments by what was measured in seven days; says how many tests were weighed."""
    revenue: dict[str, dict[str, int]] = {}
    since = from_micros(now - 7 * DAY).date().isoformat()
    for test, variant, cents in db.execute(
        "SELECT v.test_id, v.variant, coalesce(sum(m.revenue_cents), 0) FROM ab_tests t JOIN ab_variants v USING (test_id)"
        " LEFT JOIN ab_metrics m ON m.test_id = v.test_id AND m.variant = v.variant AND m.day_on >= ?2"
        " WHERE t.state = 'running' AND (?1 IS NULL OR v.test_id = ?1) GROUP BY v.test_id, v.variant",
        (test_id, since),
    ).fetchall():
        revenue.setdefault(test, {})[variant] = max(cents, 0)
    for test, cents_of in revenue.items():
        spare = 100 - SMALLEST_WEIGHT * len(cents_of)
        total = sum(cents_of.values())
        if total == 0 or spare <= 0:
            continue
        for variant, cents in cents_of.items():
            db.execute(
                "UPDATE ab_variants SET weight = ?1 WHERE test_id = ?2 AND variant = ?3 AND weight != ?1",
                (SMALLEST_WEIGHT + spare * cents // total, test, variant),
            )
    return len(revenue)


def summary(db: Connection, now: int) -> str:
    """The orders of the day before in the running experiments, a line each, as posted to the team."""
    day = from_micros(now - DAY).date().isoformat()
    rows = db.execute(
        "SELECT name, json_group_object(variant, orders) FROM ab_tests JOIN ab_metrics USING (test_id)"
        " WHERE state = 'running' AND day_on = ? GROUP BY test_id ORDER BY name",
        (day,),
    ).fetchall()
    return "\n".join(
        f"{name}: " + ", ".join(f"{variant} {orders}" for variant, orders in json.loads(counts).items())
        for name, counts in rows
    )
