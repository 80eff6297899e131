"""Experiments on the shop: their life, their metrics, their traffic."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from cgk_jobs.events.event import Event
from cgk_jobs.events.fields import Count

__all__ = [
    "AbMetricsAggregate",
    "AbOptimize",
    "AbOrderReconcile",
    "AbTestCreated",
    "AbTestEnded",
    "AbTestStarted",
]


class AbTestCreated(Event, name="ab.test_created"):
    """An experiment was defined. ``name`` is its title; ``variants`` counts its variants, the control included."""

    test_id: str
    name: str
    variants: Count


class AbTestStarted(Event, name="ab.test_started"):
    """An experiment went live."""

    test_id: str


class AbTestEnded(Event, name="ab.test_ended"):
    """An experiment was closed, with or without a winner."""

    test_id: str
    winning_variant: str | None = None


class AbMetricsAggregate(Event, name="ab.metrics_aggregate"):
    """Aggregate the metrics of one experiment or, without ``test_id``, of all that run."""

    test_id: str | None = None
    period: Literal["hourly", "daily", "full"]


class AbOptimize(Event, name="ab.optimize"):
    """Compute the variants' share of traffic again: multi-armed bandit (``mab``) or Thompson sampling."""

    test_id: str | None = None
    algorithm: Literal["mab", "thompson"] | None = None


class AbOrderReconcile(Event, name="ab.order_reconcile"):
    """Match orders with experiments again: one order, or all since ``start_date``."""

    order_id: str | None = None
    start_date: datetime | None = None
