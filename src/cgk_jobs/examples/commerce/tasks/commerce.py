"""Orders, products, customers and stock of the shop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgk_jobs import Context, Event, Limit, TaskGroup
from cgk_jobs.events.catalogue.commerce import (
    CustomerCreated,
    CustomerUpdated,
    InventorySync,
    OrderCreated,
    OrderFulfilled,
    ProductSync,
)
from cgk_jobs.examples.commerce import orders
from cgk_jobs.examples.commerce.payloads import OrderIds, WholeShop
from cgk_jobs.examples.commerce.policies import BATCH, DEFAULT, SHOP
from cgk_jobs.examples.commerce.simulation import simulated

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

SHOP_WEBHOOK_SECONDS = 30
"""The shop takes a webhook back that is not answered by then."""


class StockCount(Event):
    """How many pieces of a variant lie where."""

    variant_id: str
    location_id: str
    quantity: int


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    _orders(group, app)
    _customers_and_stock(group, app)
    _catalogue(group)
    return group
