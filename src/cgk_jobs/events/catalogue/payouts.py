"""Creators' earnings on their way out: commissions, withdrawals, the expense ledger.

A payout is paid once. Send these events with an idempotency key made of the payout's id.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from cgk_jobs.events.event import Event
from cgk_jobs.events.fields import DEFAULT_CURRENCY, Cents, Currency

__all__ = [
    "CommissionMatured",
    "ExpenseSync",
    "PaymentAvailable",
    "PayoutApproved",
    "PayoutCompleted",
    "PayoutFailed",
    "PayoutInitiated",
    "PayoutProcessing",
    "PayoutRequested",
]


class CommissionMatured(Event, name="commission.matured"):
    """A commission passed its hold period and now belongs to the creator."""

    commission_id: str
    order_id: str
    creator_id: str
    amount_cents: Cents
    currency: Currency = DEFAULT_CURRENCY


class PaymentAvailable(Event, name="payment.available"):
    """A creator's earnings became withdrawable."""

    creator_id: str
    amount_cents: Cents
    currency: Currency


class PayoutRequested(Event, name="payout.requested"):
    """A creator asked for a withdrawal."""

    payout_id: str
    creator_id: str
    amount_cents: Cents
    currency: Currency
    payout_type: Literal["domestic", "international"]


class PayoutApproved(Event, name="payout.approved"):
    """A withdrawal was approved."""

    request_id: str


class PayoutInitiated(Event, name="payout.initiated"):
    """A transfer was submitted to the payment provider. ``transfer_id`` is the provider's."""

    payout_id: str
    creator_id: str
    amount_cents: Cents
    currency: Currency
    payout_type: Literal["domestic", "international"]
    provider: Literal["stripe", "wise"]
    transfer_id: str | None = None


class PayoutProcessing(Event, name="payout.processing"):
    """The payment provider is handling a payout. ``transfer_id`` is the provider's."""

    payout_id: str
    transfer_id: str | None = None


class PayoutCompleted(Event, name="payout.completed"):
    """The money reached the creator. ``transaction_id`` is the provider's."""

    payout_id: str
    completed_at: datetime
    transaction_id: str | None = None


class PayoutFailed(Event, name="payout.failed"):
    """A payout could not be executed. ``retryable`` is false where another attempt can't help."""

    payout_id: str
    reason: str
    retryable: bool


class ExpenseSync(Event, name="expense.sync"):
    """Book payouts in the expense ledger: one, or those from ``start_date`` up to but without ``end_date``."""

    payout_id: str | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
