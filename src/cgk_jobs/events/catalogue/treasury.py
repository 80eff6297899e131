"""The balance that payouts are paid from, and who may draw on it."""

from __future__ import annotations

from datetime import datetime

from cgk_jobs.events.event import Event
from cgk_jobs.events.fields import Cents, Currency

__all__ = ["TreasuryApproval", "TreasuryEmailReceived", "TreasuryLowBalance", "TreasuryTopupSucceeded"]


class TreasuryTopupSucceeded(Event, name="treasury.topup_succeeded"):
    """The payment balance was refilled."""

    topup_id: str
    amount_cents: Cents
    currency: Currency


class TreasuryApproval(Event, name="treasury.approval"):
    """Ask the treasurer to approve a draw request."""

    request_id: str


class TreasuryEmailReceived(Event, name="treasury.email_received"):
    """The treasurer's mailed answer to a draw request arrived.

    Whether the sender is the treasurer is for the handler to check: anyone can write an address.
    """

    message_id: str
    sender: str
    subject: str | None = None
    body: str
    received_at: datetime | None = None


class TreasuryLowBalance(Event, name="treasury.low_balance"):
    """The payment balance dropped below its threshold, which is in the same currency."""

    balance_cents: Cents
    threshold_cents: Cents
    currency: Currency
