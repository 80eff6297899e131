"""What a tenant's database holds before the first order: a few of everything, the same at every planting."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from sqlite3 import Connection
from typing import TYPE_CHECKING

from cgk_jobs.examples.commerce.days import DAY, HOUR
from cgk_jobs.examples.commerce.stream import CURRENCY
from cgk_jobs.examples.commerce.treasury import PAYOUT_ACCOUNT
from cgk_jobs.tenancy import tenant_context

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["BY_HAND", "BY_STRIPE", "BY_WISE", "EXPERIMENT", "OPENING_BALANCE_CENTS", "plant"]

BY_STRIPE, BY_WISE, BY_HAND = "creator-ada", "creator-bo", "creator-cy"
"""The creators, named here for how they are paid."""
OPENING_BALANCE_CENTS = 500_000
EXPERIMENT = "checkout-button"

CHANNELS = ("search", "email", "social")
COMMISSION_BASIS_POINTS = 500


def plant(app: Commerce, tenant_id: str, customers: Sequence[str] = ()) -> None:
    """Fill a tenant's database: creators, an experiment, subscriptions, gift cards, carts, the treasury.

    Of ``customers``, whose orders are to come, every second came through a channel and every third through a creator; the
    first five have an address and subscribe. Without any, five are made up. A second planting changes nothing.
    """
    chosen = list(dict.fromkeys(customers)) or [f"customer-{number}" for number in range(1, 6)]
    with tenant_context(tenant_id), app.shops.current() as db:
        _settings(db, tenant_id)
        _creators(db, app.now())
        _customers(db, tenant_id, chosen, app.now())
        _experiment(db)
        _subscriptions(db, app, chosen)
        _carts_and_cards(db, app)
        _treasury(db)


def _settings(db: Connection, tenant_id: str) -> None:
    db.executemany(
        "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [
            ("timezone", "Europe/London"),
            ("admin_email", f"admin@{tenant_id}.example"),
            ("treasurer_email", f"treasurer@{tenant_id}.example"),
        ],
    )


def _creators(db: Connection, now: int) -> None:
    db.executemany(
        "INSERT INTO creators (creator_id, name, email, country, stripe_account, wise_recipient, currency, state, set_up)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 'approved', 1) ON CONFLICT DO NOTHING",
        [
            (BY_STRIPE, "Ada", "ada@creators.example", "US", "acct_ada", None, "USD"),
            (BY_WISE, "Bo", "bo@creators.example", "DE", None, "wise_bo", "EUR"),
            (BY_HAND, "Cy", "cy@creators.example", "BR", None, None, "BRL"),
        ],
    )
    db.executemany(
        "INSERT INTO creator_entries (entry_id, creator_id, amount_cents, currency, booked_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        [
            (f"opening:{creator}", creator, OPENING_BALANCE_CENTS, CURRENCY, now)
            for creator in (BY_STRIPE, BY_WISE, BY_HAND)
        ],
    )


def _customers(db: Connection, tenant_id: str, customers: Sequence[str], now: int) -> None:
    db.executemany(
        "INSERT INTO customers (customer_id, email, phone, sms_consent) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [
            (customer, f"{customer}@{tenant_id}.example", f"+4477009{number:05}", number % 2)
            for number, customer in enumerate(customers[:5])
        ],
    )
    db.executemany(
        "INSERT INTO touchpoints (touchpoint_id, customer_id, channel, touched_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        [
            (f"touch-{customer}", customer, CHANNELS[number % len(CHANNELS)], now - DAY)
            for number, customer in enumerate(customers[::2])
        ],
    )
    db.executemany(
        "INSERT INTO referrals (customer_id, creator_id, basis_points) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [
            (customer, (BY_STRIPE, BY_WISE)[number % 2], COMMISSION_BASIS_POINTS)
            for number, customer in enumerate(customers[::3])
        ],
    )


def _experiment(db: Connection) -> None:
    db.execute(
        "INSERT INTO ab_tests (test_id, name, state) VALUES (?, 'Checkout button', 'running') ON CONFLICT DO NOTHING",
        (EXPERIMENT,),
    )
    db.executemany(
        "INSERT INTO ab_variants (test_id, variant, weight) VALUES (?, ?, 50) ON CONFLICT DO NOTHING",
        [(EXPERIMENT, "A"), (EXPERIMENT, "B")],
    )


def _subscriptions(db: Connection, app: Commerce, customers: Sequence[str]) -> None:
    db.executemany(
        "INSERT INTO subscriptions (subscription_id, customer_id, amount_cents, currency, next_billing_on)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [
            (f"subscription-{number}", customer, 1_000 + 500 * number, CURRENCY, str(app.today() + timedelta(number)))
            for number, customer in enumerate(customers[:5], start=1)
        ],
    )


def _carts_and_cards(db: Connection, app: Commerce) -> None:
    db.execute(
        "INSERT INTO checkouts (checkout_id, email, total_cents, currency, touched_at)"
        " VALUES ('cart-1', 'visitor@customers.example', 4200, ?, ?) ON CONFLICT DO NOTHING",
        (CURRENCY, app.now() - 2 * HOUR),
    )
    db.execute(
        "INSERT INTO gift_cards (card_id, email, balance_cents, currency, expires_on, state)"
        " VALUES ('card-1', 'holder@customers.example', 2500, ?, ?, 'credited') ON CONFLICT DO NOTHING",
        (CURRENCY, str(app.today() + timedelta(days=60))),
    )


def _treasury(db: Connection) -> None:
    db.execute(
        "INSERT INTO accounts (account, balance_cents, threshold_cents, currency) VALUES (?, 1000000, 250000, ?)"
        " ON CONFLICT DO NOTHING",
        (PAYOUT_ACCOUNT, CURRENCY),
    )
    db.execute(
        "INSERT INTO draw_requests (request_id, amount_cents, currency) VALUES ('draw-1', 100000, ?)"
        " ON CONFLICT DO NOTHING",
        (CURRENCY,),
    )
