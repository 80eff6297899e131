"""A year of a real shop's orders, one tenant per country (``data/README.md`` names the source)."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Literal, cast

from cgk_jobs import Event
from cgk_jobs.events.catalogue.commerce import OrderCancelled, OrderCreated

__all__ = ["CURRENCY", "Order", "OrderAdjusted", "Totals", "expected_totals", "read_orders", "to_event"]

CURRENCY = "GBP"

Kind = Literal["created", "cancelled", "adjusted"]


class OrderAdjusted(Event, name="commerce_example.order_adjusted"):
    """A correction of the books: an amount added to or, negative, taken from the revenue. Bad debt, mostly."""

    order_id: str
    amount_cents: int
    currency: str = CURRENCY


@dataclass(frozen=True, slots=True)
class Order:
    """One invoice. ``total_pence`` is negative where money went back."""

    tenant: str
    order_id: str
    kind: Kind
    placed_at: datetime
    customer_id: str | None
    line_items: int
    units: int
    total_pence: int


@dataclass(frozen=True, slots=True)
class Totals:
    """What a tenant's books must say once the whole stream was processed."""

    orders: int
    revenue_pence: int


def read_orders(tenants: Collection[str] | None = None) -> Iterator[Order]:
    """Every invoice in the order of its time; only those of ``tenants`` where given."""
    source = files("cgk_jobs.examples.commerce").joinpath("data", "online_retail_orders.csv.gz")
    with source.open("rb") as packed, gzip.open(packed, "rt", encoding="utf-8", newline="") as text:
        rows = csv.reader(text)
        next(rows)  # the heading
        for placed_at, kind, country, order_id, customer_id, line_items, units, total_pence in rows:
            if tenants is None or country in tenants:
                yield Order(
                    tenant=country,
                    order_id=order_id,
                    kind=cast("Kind", kind),
                    placed_at=datetime.fromisoformat(placed_at),
                    customer_id=customer_id or None,
                    line_items=int(line_items),
                    units=int(units),
                    total_pence=int(total_pence),
                )


def expected_totals(tenants: Collection[str] | None = None) -> dict[str, Totals]:
    """The invoices and the revenue of each tenant, added up from the stream itself."""
    orders: dict[str, int] = {}
    revenue: dict[str, int] = {}
    for order in read_orders(tenants):
        orders[order.tenant] = orders.get(order.tenant, 0) + 1
        revenue[order.tenant] = revenue.get(order.tenant, 0) + order.total_pence
    return {tenant: Totals(count, revenue[tenant]) for tenant, count in orders.items()}


def to_event(order: Order) -> OrderCreated | OrderCancelled | OrderAdjusted:
    """The event that the shop would have sent. A cancellation carries what was paid back as a positive refund."""
    if order.kind == "created":
        return OrderCreated(
            tenant_id=order.tenant,
            order_id=order.order_id,
            customer_id=order.customer_id,
            total_amount_cents=order.total_pence,
            currency=CURRENCY,
        )
    if order.kind == "cancelled":
        return OrderCancelled(
            tenant_id=order.tenant,
            order_id=order.order_id,
            reason="returned",
            refund_amount_cents=-order.total_pence,
            currency=CURRENCY,
        )
    return OrderAdjusted(tenant_id=order.tenant, order_id=order.order_id, amount_cents=order.total_pence)
