"""Subscriptions of shop customers and their billing."""

from __future__ import annotations

from datetime import datetime

from cgk_jobs.events.event import Event

__all__ = ["SubscriptionBilling", "SubscriptionCancelled", "SubscriptionCreated", "SubscriptionRenewal"]


class SubscriptionCreated(Event, name="subscription.created"):
    """A customer subscribed."""

    subscription_id: str
    customer_id: str
    plan_id: str


class SubscriptionBilling(Event, name="subscription.billing"):
    """Charge one subscription or, without ``subscription_id``, all that are due at ``billing_date``.

    A period must be charged once: make the idempotency key of tenant, subscription, and the period's start and end.
    """

    subscription_id: str | None = None
    billing_date: datetime | None = None


class SubscriptionRenewal(Event, name="subscription.renewal"):
    """A subscription enters its next period, which is billed at ``next_billing_date``."""

    subscription_id: str
    next_billing_date: datetime


class SubscriptionCancelled(Event, name="subscription.cancelled"):
    """A subscription was ended: at ``effective_date``, or at once."""

    subscription_id: str
    reason: str | None = None
    effective_date: datetime | None = None
