"""Marketing attribution: which channel brought an order."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from cgk_jobs.events.event import Event
from cgk_jobs.events.fields import DEFAULT_CURRENCY, Cents, Count, Currency, Days, JsonObject

__all__ = [
    "AttributionExport",
    "AttributionRecalculate",
    "AttributionSync",
    "ConversionAttributed",
    "ConversionRecorded",
    "TouchpointRecorded",
]


class TouchpointRecorded(Event, name="touchpoint.recorded"):
    """A marketing contact of a session was stored. The last three fields are those of the link (``utm_source`` …)."""

    touchpoint_id: str
    session_id: str
    source: str
    medium: str | None = None
    campaign: str | None = None


class ConversionRecorded(Event, name="conversion.recorded"):
    """An order came in whose channels are still to be credited; ``conversion.attributed`` follows."""

    order_id: str
    session_id: str | None = None
    customer_id: str | None = None
    total_amount_cents: Cents
    currency: Currency = DEFAULT_CURRENCY
    converted_at: datetime | None = None


class ConversionAttributed(Event, name="conversion.attributed"):
    """An order received its channel credit under one model, shared among ``touchpoints`` contacts."""

    order_id: str
    attribution_model: str
    touchpoints: Count


class AttributionRecalculate(Event, name="attribution.recalculate"):
    """Compute channel credit again; a second run overwrites the first.

    For one order, for those from ``start_date`` up to but without ``end_date``, or for the last ``recalculate_days``.
    """

    order_id: str | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    recalculate_days: Days | None = None


class AttributionSync(Event, name="attribution.sync"):
    """Pull data from one marketing platform, from ``start_date`` up to but without ``end_date``."""

    platform: Literal["tiktok", "meta", "google", "klaviyo", "fairing"]
    start_date: datetime | None = None
    end_date: datetime | None = None


class AttributionExport(Event, name="attribution.export"):
    """Produce an attribution export file. ``filters`` are those of the report it was asked from."""

    export_id: str
    format: Literal["csv", "json"]
    filters: JsonObject | None = None
