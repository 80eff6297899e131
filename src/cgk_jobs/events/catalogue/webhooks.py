"""Webhooks of the shop, in and out: retries, health, clean-up."""

from __future__ import annotations

from cgk_jobs.events.event import Event
from cgk_jobs.events.fields import Days, Ordinal

__all__ = ["WebhookCleanup", "WebhookHealthCheck", "WebhookRetry"]


class WebhookRetry(Event, name="webhook.retry"):
    """Process a failed webhook again. ``attempt`` is the number of this attempt."""

    webhook_event_id: str
    attempt: Ordinal


class WebhookHealthCheck(Event, name="webhook.health_check"):
    """Verify one webhook endpoint or, without ``endpoint_id``, all of them."""

    endpoint_id: str | None = None


class WebhookCleanup(Event, name="webhook.cleanup"):
    """Delete webhook records older than ``older_than_days``."""

    older_than_days: Days | None = None
