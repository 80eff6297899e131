"""The shopping feed for Google Merchant Center."""

from __future__ import annotations

from typing import Literal

from cgk_jobs.events.event import Event
from cgk_jobs.events.fields import JsonObject

__all__ = ["GoogleFeedImageOptimize", "GoogleFeedProductUpdate", "GoogleFeedSync"]


class GoogleFeedSync(Event, name="google_feed.sync"):
    """Bring the shopping feed up to date; ``full_sync`` builds it again from nothing."""

    full_sync: bool | None = None
    triggered_by: Literal["schedule", "manual", "webhook"] | None = None


class GoogleFeedProductUpdate(Event, name="google_feed.product_update"):
    """Change one product, or one variant of it, in the feed."""

    product_id: str
    variant_id: str | None = None
    action: Literal["update", "delete"]


class GoogleFeedImageOptimize(Event, name="google_feed.image_optimize"):
    """Adapt a product image to what the feed demands. ``options`` are those of the image service."""

    product_id: str
    image_url: str
    options: JsonObject | None = None
