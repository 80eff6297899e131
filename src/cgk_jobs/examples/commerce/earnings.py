"""What creators earn: commissions that mature, and statements of them."""

from __future__ import annotations

from sqlite3 import Connection
from typing import NamedTuple

from cgk_jobs.examples.commerce.days import DAY
from cgk_jobs.examples.commerce.paying import credit

__all__ = ["HOLD_DAYS", "Earned", "MatureCommission", "earned_in", "freeze_month", "mature", "matured_by"]

HOLD_DAYS = 30
"""The return window: a commission is not the creator's before."""

EARNED = """
    SELECT creator_id, currency, sum(amount_cents) FROM creator_entries
    WHERE booked_at >= ? AND booked_at < ? AND entry_id LIKE 'commission:%' GROUP BY creator_id, currency
"""
FREEZE_MONTH = """
    INSERT INTO profit_months (month_on, revenue_cents, expenses_cents)
    SELECT :month,
           (SELECT coalesce(sum(amount_cents), 0) FROM orders WHERE booked_at >= :start AND booked_at < :end),
           (SELECT coalesce(sum(amount_cents), 0) FROM expenses WHERE spent_at >= :start AND spent_at < :end)
    WHERE EXISTS (SELECT 1 FROM orders WHERE booked_at >= :start AND booked_at < :end)
       OR EXISTS (SELECT 1 FROM expenses WHERE spent_at >= :start AND spent_at < :end)
    ON CONFLICT DO UPDATE SET revenue_cents = excluded.revenue_cents, expenses_cents = excluded.expenses_cents
"""


class MatureCommission(NamedTuple):
    """A commission whose return window is over."""

    order_id: str
    creator_id: str
    amount_cents: int
    currency: str


class Earned(NamedTuple):
    """What a creator earned in a span."""

    creator_id: str
    currency: str
    amount_cents: int


def matured_by(db: Connection, now: int) -> list[MatureCommission]:
    """The pending commissions whose return window is over."""
    rows = db.execute(
        "SELECT order_id, creator_id, amount_cents, currency FROM commissions WHERE state = 'pending' AND earned_at < ?",
        (now - HOLD_DAYS * DAY,),
    ).fetchall()
    return [MatureCommission(*row) for row in rows]


def mature(db: Connection, order_id: str, now: int) -> int:
    """Make a pending commission the creator's; says how many cents. None if it is not pending: reversed, or done before."""
    row = db.execute(
        "UPDATE commissions SET state = 'matured' WHERE order_id = ? AND state = 'pending'"
        " RETURNING creator_id, amount_cents, currency",
        (order_id,),
    ).fetchone()
    if row is None or not row[1]:
        return 0
    credit(db, f"commission:{order_id}", row[0], row[1], row[2], now)
    return int(row[1])


def earned_in(db: Connection, start: int, end: int) -> list[Earned]:
    """The commissions that became each creator's from ``start`` up to but without ``end``."""
    return [Earned(*row) for row in db.execute(EARNED, (start, end)).fetchall()]


def freeze_month(db: Connection, month: str, start: int, end: int) -> None:
    """Write down revenue and expenses of a month that had any; a rerun overwrites."""
    db.execute(FREEZE_MONTH, {"month": month, "start": start, "end": end})
