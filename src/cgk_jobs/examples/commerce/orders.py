"""What an order does to a tenant's books. Every function may be called twice for the same order and counts it once."""

from __future__ import annotations

from sqlite3 import Connection
from typing import Literal
from zlib import crc32

__all__ = [
    "Kind",
    "adjust_commission",
    "assign_variants",
    "attribute",
    "book",
    "booked_cents",
    "exclude",
    "grant_commission",
    "grant_missing",
    "reverse_commission",
]

Kind = Literal["created", "cancelled", "refunded", "adjusted"]

LAST_CHANNEL = """
    SELECT channel FROM touchpoints WHERE customer_id = ? AND touched_at <= ? ORDER BY touched_at DESC LIMIT 1
"""
GRANT_MISSING = """
    INSERT INTO commissions (order_id, creator_id, amount_cents, currency, earned_at)
    SELECT order_id, creator_id, amount_cents * basis_points / 10000, currency, booked_at
    FROM orders JOIN referrals USING (customer_id)
    WHERE kind = 'created' AND booked_at >= :since AND amount_cents > 0
      AND (:creator_id IS NULL OR creator_id = :creator_id)
      AND NOT EXISTS (SELECT 1 FROM commissions WHERE commissions.order_id = orders.order_id)
      AND NOT EXISTS (SELECT 1 FROM orders AS gone WHERE gone.order_id = orders.order_id AND gone.kind = 'cancelled')
"""


def book(
    db: Connection,
    order_id: str,
    kind: Kind,
    amount_cents: int,
    currency: str,
    now: int,
    customer_id: str | None = None,
    reference: str = "",
) -> bool:
    """Enter an amount in the books; false if this order's amount of this kind and reference was there before."""
    entered = db.execute(
        "INSERT INTO orders (order_id, kind, reference, customer_id, amount_cents, currency, booked_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (order_id, kind, reference, customer_id, amount_cents, currency, now),
    )
    if entered.rowcount != 1:
        return False
    if customer_id is not None and kind == "created":
        db.execute(
            "INSERT INTO customers (customer_id, order_count, ordered_cents, last_order_at) VALUES (?, 1, ?, ?)"
            " ON CONFLICT DO UPDATE SET order_count = order_count + 1,"
            " ordered_cents = ordered_cents + excluded.ordered_cents,"
            " last_order_at = max(coalesce(last_order_at, 0), excluded.last_order_at)",
            (customer_id, amount_cents, now),
        )
    return True


def booked_cents(db: Connection, order_id: str) -> int:
    """What an order stands at: its amount less what was refunded."""
    return int(
        db.execute(
            "SELECT coalesce(sum(amount_cents), 0) FROM orders WHERE order_id = ? AND kind IN ('created', 'refunded')",
            (order_id,),
        ).fetchone()[0]
    )


def attribute(db: Connection, order_id: str, customer_id: str | None, now: int) -> str | None:
    """Credit the channel the customer touched last; without one the order is kept for ``unattributed`` tasks."""
    touched = None if customer_id is None else db.execute(LAST_CHANNEL, (customer_id, now)).fetchone()
    if touched is None:
        db.execute(
            "INSERT INTO unattributed (order_id) SELECT ?1"
            " WHERE NOT EXISTS (SELECT 1 FROM order_credits WHERE order_id = ?1 AND model = 'last_touch')"
            " ON CONFLICT DO NOTHING",
            (order_id,),
        )
        return None
    channel = str(touched[0])
    db.execute(
        "INSERT INTO order_credits (order_id, model, channel, basis_points) VALUES (?, 'last_touch', ?, 10000)"
        " ON CONFLICT DO NOTHING",
        (order_id, channel),
    )
    return channel


def grant_commission(
    db: Connection, order_id: str, customer_id: str | None, amount_cents: int, currency: str, now: int
) -> None:
    """Grant the creator who brought the customer a share of the order, unless the order was cancelled meanwhile."""
    if customer_id is None or amount_cents <= 0:
        return
    db.execute(
        "INSERT INTO commissions (order_id, creator_id, amount_cents, currency, earned_at)"
        " SELECT ?, creator_id, ? * basis_points / 10000, ?, ? FROM referrals WHERE customer_id = ?"
        " AND NOT EXISTS (SELECT 1 FROM orders WHERE order_id = ? AND kind = 'cancelled') ON CONFLICT DO NOTHING",
        (order_id, amount_cents, currency, now, customer_id, order_id),
    )


def grant_missing(db: Connection, since: int, creator_id: str | None = None) -> int:
    """Grant the commissions of orders booked since then that have none, to all creators or one; says how many."""
    return db.execute(GRANT_MISSING, {"since": since, "creator_id": creator_id}).rowcount


def reverse_commission(db: Connection, order_id: str, now: int) -> bool:
    """Take an order's commission back; what was credited to the creator already is booked against the balance."""
    row = db.execute(
        "UPDATE commissions SET state = 'reversed' WHERE order_id = ? AND state != 'reversed'"
        " RETURNING creator_id, amount_cents, currency",
        (order_id,),
    ).fetchone()
    if row is None:
        return False
    creator_id, amount_cents, currency = row
    _claim_back(db, f"reversal:{order_id}", order_id, creator_id, amount_cents, currency, now)
    return True


def adjust_commission(db: Connection, order_id: str, refund_id: str, refund_cents: int, now: int) -> int:
    """Take back the refund's share of an order's commission; says how many cents that were.

    Call it once for each refund, in the transaction that books it. Refunds of the whole order take the whole commission.
    """
    row = db.execute(
        "SELECT c.creator_id, c.amount_cents, c.currency, o.amount_cents + coalesce((SELECT sum(amount_cents) FROM orders"
        " WHERE order_id = ?1 AND kind = 'refunded' AND reference != ?2), 0)"
        " FROM commissions c JOIN orders o ON o.order_id = c.order_id AND o.kind = 'created'"
        " WHERE c.order_id = ?1 AND c.state != 'reversed'",
        (order_id, refund_id),
    ).fetchone()
    if row is None or row[3] <= 0:
        return 0
    creator_id, commission_cents, currency, left_cents = row
    taken = min(refund_cents * commission_cents // left_cents, commission_cents)
    db.execute("UPDATE commissions SET amount_cents = amount_cents - ? WHERE order_id = ?", (taken, order_id))
    _claim_back(db, f"adjustment:{order_id}:{refund_id}", order_id, creator_id, taken, currency, now)
    return int(taken)


def _claim_back(
    db: Connection, entry_id: str, order_id: str, creator_id: str, amount_cents: int, currency: str, now: int
) -> None:
    db.execute(
        "INSERT INTO creator_entries (entry_id, creator_id, amount_cents, currency, booked_at)"
        " SELECT ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM creator_entries WHERE entry_id = ?) ON CONFLICT DO NOTHING",
        (entry_id, creator_id, -amount_cents, currency, now, f"commission:{order_id}"),
    )


def assign_variants(
    db: Connection, order_id: str, customer_id: str | None, amount_cents: int, now: int
) -> dict[str, str]:
    """Count the order for one variant of each running experiment; a customer stays in the same one."""
    weights: dict[str, list[tuple[str, int]]] = {}
    for test_id, variant, weight in db.execute(
        "SELECT test_id, variant, weight FROM ab_variants JOIN ab_tests USING (test_id) WHERE state = 'running'"
        " ORDER BY test_id, variant"
    ).fetchall():
        weights.setdefault(test_id, []).append((variant, weight))
    chosen = {test_id: _choose(test_id, customer_id or order_id, variants) for test_id, variants in weights.items()}
    for test_id, variant in chosen.items():
        db.execute(
            "INSERT INTO ab_orders (order_id, test_id, variant, amount_cents, assigned_at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (order_id, test_id, variant, amount_cents, now),
        )
    return chosen


def exclude(db: Connection, order_id: str) -> None:
    """Leave an order out of every experiment, also if it is assigned only later."""
    db.execute("INSERT INTO ab_exclusions (order_id) VALUES (?) ON CONFLICT DO NOTHING", (order_id,))


def _choose(test_id: str, visitor: str, variants: list[tuple[str, int]]) -> str:
    total = sum(weight for _, weight in variants)
    point = crc32(f"{test_id}/{visitor}".encode()) % max(total, 1)
    for variant, weight in variants:
        point -= weight
        if point < 0:
            return variant
    return variants[-1][0]
