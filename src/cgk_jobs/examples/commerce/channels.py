"""Which marketing channel an order is credited to, and the figures made of that. A rerun overwrites."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from sqlite3 import Connection

from cgk_jobs.examples.commerce.days import day_span

__all__ = [
    "MODELS",
    "build_export",
    "credit_conversion",
    "find_uncredited",
    "measure_day",
    "queued_in",
    "recalculate",
    "retry_unattributed",
    "shares_of",
]

DIRECT = "direct"
"""The channel of customers who came by themselves, as far as anybody knows."""
MOST_TRIES = 3
"""How often an order without a touchpoint is looked at again before it counts as direct."""
HALF_LIFE_DAYS = 7.0

MEASURE_DAY = """
    INSERT INTO attribution_days (day_on, channel, orders, revenue_cents)
    SELECT :day, channel, count(*), sum(amount_cents * basis_points / 10000)
    FROM orders JOIN order_credits USING (order_id)
    WHERE kind = 'created' AND booked_at >= :start AND booked_at < :end AND model = 'last_touch'
    GROUP BY channel
"""
WRONG_CREDITS = """
    SELECT order_id, channel FROM (
        SELECT order_id, (SELECT channel FROM touchpoints WHERE touchpoints.customer_id = orders.customer_id
                          AND touched_at <= booked_at ORDER BY touched_at DESC LIMIT 1) AS channel
        FROM orders WHERE kind = 'created' AND customer_id IS NOT NULL AND booked_at >= ?1 AND booked_at < ?2
          AND (?3 IS NULL OR order_id = ?3))
    AS touched WHERE channel IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM order_credits WHERE order_credits.order_id = touched.order_id AND model = 'last_touch'
        AND order_credits.channel = touched.channel)
"""
UNATTRIBUTED = """
    SELECT order_id, tries + 1, (SELECT channel FROM touchpoints JOIN orders USING (customer_id)
                                 WHERE orders.order_id = unattributed.order_id AND kind = 'created'
                                 AND touched_at <= booked_at ORDER BY touched_at DESC LIMIT 1)
    FROM unattributed WHERE (?2 IS NULL OR order_id IN (SELECT value FROM json_each(?2))) ORDER BY order_id LIMIT ?1
"""


def measure_day(db: Connection, day: date) -> None:
    """Sum a day's orders and revenue per channel."""
    start, end = day_span(day)
    db.execute("DELETE FROM attribution_days WHERE day_on = ?", (day.isoformat(),))
    db.execute(MEASURE_DAY, {"day": day.isoformat(), "start": start, "end": end})


def find_uncredited(db: Connection, since: int, until: int) -> int:
    """Queue the orders booked in a span that have neither a credit nor a place in the queue; says how many."""
    return db.execute(
        "INSERT INTO unattributed (order_id) SELECT order_id FROM orders"
        " WHERE kind = 'created' AND booked_at >= ? AND booked_at < ?"
        " AND NOT EXISTS (SELECT 1 FROM order_credits WHERE order_credits.order_id = orders.order_id)"
        " AND NOT EXISTS (SELECT 1 FROM unattributed WHERE unattributed.order_id = orders.order_id)",
        (since, until),
    ).rowcount


def queued_in(db: Connection, since: int, until: int) -> list[str]:
    """The queued orders that were booked in a span."""
    rows = db.execute(
        "SELECT order_id FROM unattributed JOIN orders USING (order_id)"
        " WHERE kind = 'created' AND booked_at >= ? AND booked_at < ? ORDER BY order_id",
        (since, until),
    ).fetchall()
    return [str(order_id) for (order_id,) in rows]


def retry_unattributed(db: Connection, most: int = 50, order_ids: Sequence[str] | None = None) -> int:
    """Look again for the channel of queued orders, or of those named; says how many left the queue.

    After the third look an order is credited to ``direct``.
    """
    chosen = None if order_ids is None else json.dumps(list(order_ids))
    rows = db.execute(UNATTRIBUTED, (most, chosen)).fetchall()
    settled = [(order_id, channel or DIRECT) for order_id, tries, channel in rows if channel or tries >= MOST_TRIES]
    db.executemany(
        "INSERT INTO order_credits (order_id, model, channel, basis_points) VALUES (?, 'last_touch', ?, 10000)"
        " ON CONFLICT DO NOTHING",
        settled,
    )
    db.executemany("DELETE FROM unattributed WHERE order_id = ?", [(order_id,) for order_id, _ in settled])
    db.executemany(
        "UPDATE unattributed SET tries = ? WHERE order_id = ?",
        [(tries, order_id) for order_id, tries, channel in rows if not channel and tries < MOST_TRIES],
    )
    return len(settled)


def recalculate(db: Connection, since: int, until: int, order_id: str | None = None) -> int:
    """Credit the orders of a span, or one of them, anew to the channel touched last before; says how many changed."""
    wrong = db.execute(WRONG_CREDITS, (since, until, order_id)).fetchall()
    db.executemany(
        "DELETE FROM order_credits WHERE order_id = ? AND model = 'last_touch'", [(order,) for order, _ in wrong]
    )
    db.executemany("DELETE FROM unattributed WHERE order_id = ?", [(order,) for order, _ in wrong])
    db.executemany(
        "INSERT INTO order_credits (order_id, model, channel, basis_points) VALUES (?, 'last_touch', ?, 10000)", wrong
    )
    return len(wrong)


Weights = Callable[[Sequence[float]], list[float]]
"""From the ages of the contacts in days, the oldest first, to the weight of each."""


def _position_based(ages: Sequence[float]) -> list[float]:
    if len(ages) <= 2:
        return [1.0] * len(ages)
    return [0.4, *[0.2 / (len(ages) - 2)] * (len(ages) - 2), 0.4]


MODELS: Mapping[str, Weights] = {
    "first_touch": lambda ages: [1.0] + [0.0] * (len(ages) - 1),
    "last_touch": lambda ages: [0.0] * (len(ages) - 1) + [1.0],
    "linear": lambda ages: [1.0] * len(ages),
    "time_decay": lambda ages: [2.0 ** (-age / HALF_LIFE_DAYS) for age in ages],
    "position_based": _position_based,
}
"""The five models under which a conversion is scored."""


def shares_of(weights: Sequence[float]) -> list[int]:
    """Basis points in proportion to the weights. They add up to 10,000 exactly: what rounding leaves goes to the last."""
    total = sum(weights)
    shares = [int(10_000 * weight / total) for weight in weights]
    shares[-1] += 10_000 - sum(shares)
    return shares


def credit_conversion(db: Connection, order_id: str, contacts: Sequence[tuple[str, float]]) -> None:
    """Score an order under every model; ``contacts`` are channel and age in days, the oldest first. Overwrites."""
    ages = [age for _, age in contacts]
    db.execute("DELETE FROM order_credits WHERE order_id = ?", (order_id,))
    db.execute("DELETE FROM unattributed WHERE order_id = ?", (order_id,))
    for model, weights in MODELS.items():
        for (channel, _), share in zip(contacts, shares_of(weights(ages)), strict=True):
            if share:
                db.execute(
                    "INSERT INTO order_credits (order_id, model, channel, basis_points) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET basis_points = basis_points + excluded.basis_points",
                    (order_id, model, channel, share),
                )


def build_export(db: Connection, export_id: str, kind: str) -> None:
    """Write the daily figures of all channels as the file that was asked for."""
    rows = db.execute("SELECT * FROM attribution_days ORDER BY day_on, channel").fetchall()
    heading = ("day_on", "channel", "orders", "revenue_cents")
    if kind == "json":
        body = json.dumps([dict(zip(heading, row, strict=True)) for row in rows])
    else:
        text = io.StringIO()
        csv.writer(text).writerows([heading, *rows])
        body = text.getvalue()
    db.execute("UPDATE exports SET body = ? WHERE export_id = ?", (body, export_id))
