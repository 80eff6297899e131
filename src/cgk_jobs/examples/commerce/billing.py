"""Charging subscriptions. A period is charged once: its key at the vendor is made of subscription, start and end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from sqlite3 import Connection
from typing import TYPE_CHECKING, Literal, NamedTuple

from cgk_jobs.examples.commerce.vendor_failures import for_each
from cgk_jobs.examples.commerce.vendors import CardDeclined
from cgk_jobs.tenancy import current_tenant

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["Billed", "Period", "begin_period", "bill", "count_day", "due_by", "key_of", "past_due", "renewing_on"]

GIVE_UP_DAYS = 14
"""How long a declined card is tried again; after that a person has to write to the customer."""

COUNT_DAY = """
    INSERT INTO subscription_days (day_on, active, past_due, cancelled, monthly_cents)
    SELECT :day AS day, coalesce(sum(state = 'active'), 0), coalesce(sum(state = 'past_due'), 0),
           coalesce(sum(state = 'cancelled'), 0),
           coalesce(sum(CASE WHEN state = 'active' THEN amount_cents * 30 / interval_days END), 0)
    FROM subscriptions GROUP BY day
    ON CONFLICT DO UPDATE SET active = excluded.active, past_due = excluded.past_due, cancelled = excluded.cancelled,
                              monthly_cents = excluded.monthly_cents
"""


class Period(NamedTuple):
    """One period of a subscription that is to be charged. Days are ISO dates; ``end_on`` is the next period's start."""

    subscription_id: str
    customer_id: str
    amount_cents: int
    currency: str
    start_on: str
    end_on: str


@dataclass
class Billed:
    """What a run charged: periods charged and declined."""

    charged: int = 0
    declined: int = 0


def key_of(period: Period) -> str:
    """The period's key at the vendor, which keeps each tenant's keys apart."""
    return f"billing:{period.subscription_id}:{period.start_on}:{period.end_on}"


def due_by(db: Connection, day: date) -> list[str]:
    """The active subscriptions whose next period begins on ``day`` or before."""
    rows = db.execute(
        "SELECT subscription_id FROM subscriptions WHERE state = 'active' AND next_billing_on <= ?"
        " ORDER BY next_billing_on, subscription_id",
        (day.isoformat(),),
    ).fetchall()
    return [row[0] for row in rows]


def past_due(db: Connection, day: date) -> list[str]:
    """The subscriptions whose card was declined within the last fortnight."""
    rows = db.execute(
        "SELECT subscription_id FROM subscriptions WHERE state = 'past_due' AND next_billing_on >= ?"
        " ORDER BY subscription_id",
        ((day - timedelta(days=GIVE_UP_DAYS)).isoformat(),),
    ).fetchall()
    return [row[0] for row in rows]


def begin_period(db: Connection, subscription_id: str, day: date) -> Period | None:
    """The period that is to be charged on ``day``; ``None`` if none is due or the subscription ended.

    It is written down before the vendor is asked: after an answer that was lost, a changed price or interval must not make
    another period of it.
    """
    row = db.execute(
        "SELECT customer_id, amount_cents, currency, next_billing_on, interval_days FROM subscriptions"
        " WHERE subscription_id = ? AND state != 'cancelled' AND next_billing_on <= ?",
        (subscription_id, day.isoformat()),
    ).fetchone()
    if row is None:
        return None
    customer_id, amount_cents, currency, start_on, interval_days = row
    end = date.fromisoformat(start_on) + timedelta(days=interval_days)
    db.execute(
        "INSERT INTO open_periods (subscription_id, period_start_on, period_end_on, customer_id, amount_cents, currency)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (subscription_id, start_on, end.isoformat(), customer_id, amount_cents, currency),
    )
    begun = db.execute(
        "SELECT subscription_id, customer_id, amount_cents, currency, period_start_on, period_end_on FROM open_periods"
        " WHERE subscription_id = ? AND period_start_on = ?",
        (subscription_id, start_on),
    ).fetchone()
    return Period(*begun)


async def bill(app: Commerce, subscription_ids: list[str], day: date) -> Billed:
    """Charge every period of these subscriptions that began by ``day``, and none that is still to come.

    A declined card makes the subscription past due. Where the vendor does not answer, the others are charged first; then
    ``VendorUnavailable`` is raised, so that another attempt charges what is left.
    """
    billed = Billed()
    until = min(day, app.today())

    async def bill_one(subscription_id: str) -> int:
        while True:
            with app.shops.current() as db:
                period = begin_period(db, subscription_id, until)
            if period is None:
                return 0
            if await _charge(app, period) == "declined":
                billed.declined += 1
                return 0
            billed.charged += 1

    await for_each(subscription_ids, bill_one)
    return billed


async def _charge(app: Commerce, period: Period) -> Literal["charged", "declined"]:
    try:
        answer = await app.payments.charge(
            current_tenant(), key_of(period), period.customer_id, period.amount_cents, period.currency
        )
    except CardDeclined:
        with app.shops.current() as db:
            _end_period(db, period)
            db.execute(
                "UPDATE subscriptions SET state = 'past_due' WHERE subscription_id = ? AND next_billing_on = ?"
                " AND state = 'active'",
                (period.subscription_id, period.start_on),
            )
        return "declined"
    with app.shops.current() as db:
        db.execute(
            "INSERT INTO billings (subscription_id, period_start_on, period_end_on, amount_cents, currency, charge_id,"
            " charged_at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                period.subscription_id,
                period.start_on,
                period.end_on,
                period.amount_cents,
                period.currency,
                answer.reference,
                app.now(),
            ),
        )
        _end_period(db, period)
        # Only from the period that was charged: a second run that charged it too must not skip one.
        db.execute(
            "UPDATE subscriptions SET next_billing_on = ?, state = CASE state WHEN 'past_due' THEN 'active' ELSE state END"
            " WHERE subscription_id = ? AND next_billing_on = ?",
            (period.end_on, period.subscription_id, period.start_on),
        )
    return "charged"


def _end_period(db: Connection, period: Period) -> None:
    """The vendor has answered: the next one may be made of what the subscription says by then."""
    db.execute(
        "DELETE FROM open_periods WHERE subscription_id = ? AND period_start_on = ?",
        (period.subscription_id, period.start_on),
    )


def renewing_on(db: Connection, day: date) -> list[tuple[str, str, str]]:
    """Subscription, mail address and day of those that renew on ``day``."""
    return db.execute(
        "SELECT subscription_id, email, next_billing_on FROM subscriptions JOIN customers USING (customer_id)"
        " WHERE state = 'active' AND next_billing_on = ? AND email IS NOT NULL",
        (day.isoformat(),),
    ).fetchall()


def count_day(db: Connection, day: date) -> None:
    """Write down how many subscriptions there are and what they bring in thirty days; a rerun overwrites."""
    db.execute(COUNT_DAY, {"day": day.isoformat()})
