"""Customers scored by recency, frequency and monetary value: five parts each, 5 is the best fifth."""

from __future__ import annotations

from datetime import date
from sqlite3 import Connection

__all__ = ["score_customers"]

ORDERED = "SELECT sum(order_count) || ' until ' || max(last_order_at) FROM customers WHERE order_count > 0"
SCORE = """
    INSERT INTO customer_scores (customer_id, recency, frequency, monetary, scored_on)
    SELECT customer_id, ntile(5) OVER (ORDER BY last_order_at, customer_id),
           ntile(5) OVER (ORDER BY order_count, customer_id), ntile(5) OVER (ORDER BY ordered_cents, customer_id), :day
    FROM customers WHERE order_count > 0
    ON CONFLICT DO UPDATE SET recency = excluded.recency, frequency = excluded.frequency, monetary = excluded.monetary,
                              scored_on = excluded.scored_on
"""


def score_customers(db: Connection, day: date) -> int:
    """Score every customer anew; says how many there are. None are, if nobody ordered since they were scored last.

    Scores are places in an order, which time alone does not change.
    """
    ordered = db.execute(ORDERED).fetchone()[0]
    scored = db.execute("SELECT value FROM settings WHERE name = 'scored_orders'").fetchone()
    if ordered is None or (scored is not None and scored[0] == ordered):
        return 0
    count = db.execute(SCORE, {"day": day.isoformat()}).rowcount
    db.execute(
        "INSERT INTO settings (name, value) VALUES ('scored_orders', ?) ON CONFLICT DO UPDATE SET value = excluded.value",
        (ordered,),
    )
    return count
