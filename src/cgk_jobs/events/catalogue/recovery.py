"""Abandoned carts and the mails that bring their owners back."""

from __future__ import annotations

from cgk_jobs.events.event import Event
from cgk_jobs.events.fields import Count, Days, Ordinal

__all__ = [
    "RecoveryCheckAbandoned",
    "RecoveryCheckoutUpdated",
    "RecoveryEmailScheduled",
    "RecoveryEmailSent",
    "RecoveryExpireOld",
    "RecoveryProcessQueue",
]


class RecoveryCheckAbandoned(Event, name="recovery.check_abandoned"):
    """Look for checkouts that were left."""


class RecoveryCheckoutUpdated(Event, name="recovery.checkout_updated"):
    """A checkout changed or was completed, which ends its reminders; then ``order_id`` is the order it became."""

    shopify_checkout_id: str
    completed: bool
    order_id: str | None = None


class RecoveryEmailScheduled(Event, name="recovery.email_scheduled"):
    """A cart reminder was planned. ``sequence_number`` says which of the checkout's reminders it is."""

    email_id: str
    checkout_id: str
    sequence_number: Ordinal


class RecoveryEmailSent(Event, name="recovery.email_sent"):
    """A cart reminder left."""

    email_id: str
    checkout_id: str


class RecoveryProcessQueue(Event, name="recovery.process_queue"):
    """Send the cart reminders that are due, at most ``limit`` of them."""

    limit: Count | None = None


class RecoveryExpireOld(Event, name="recovery.expire_old"):
    """Close carts left more than ``days_old`` days ago."""

    days_old: Days | None = None
