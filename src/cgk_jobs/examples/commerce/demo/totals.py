"""What the books must say in the end, and what they say."""

from __future__ import annotations

from datetime import timedelta

from cgk_jobs import across_tenants
from cgk_jobs.examples.commerce.application import Commerce
from cgk_jobs.examples.commerce.demo.result import DemoOptions, DemoResult, TenantResult
from cgk_jobs.examples.commerce.stream import Order, read_orders

__all__ = ["chosen_orders", "expect", "read_books"]

PLANTED_CUSTOMERS = 40
"""Customers of each tenant who are known before they order: some came through a channel, some through a creator."""


def chosen_orders(options: DemoOptions) -> list[Order]:
    """The stream's orders, or those of the tenants and days that were asked for."""
    orders = list(read_orders(options.tenants or None))
    if options.days is not None:
        end = orders[0].placed_at + timedelta(days=options.days)
        orders = [order for order in orders if order.placed_at < end]
    return orders


def expect(orders: list[Order], result: DemoResult) -> dict[str, list[str]]:
    """Note what the books must say in the end; returns the first customers of each tenant."""
    customers: dict[str, dict[str, None]] = {}
    for order in orders:
        tenant = result.tenants.setdefault(order.tenant, TenantResult())
        tenant.expected_orders += 1
        tenant.expected_pence += order.total_pence
        known = customers.setdefault(order.tenant, {})
        if order.customer_id is not None and len(known) < PLANTED_CUSTOMERS:
            known[order.customer_id] = None
    return {tenant: list(known) for tenant, known in customers.items()}


def read_books(shop: Commerce, result: DemoResult) -> None:
    """Read every tenant's books, and count what is missing in them."""
    with across_tenants(reason="the demo reads every tenant's books"):
        for slug, tenant in result.tenants.items():
            tenant.orders = shop.shops.order_count(slug)
            tenant.revenue_pence = shop.shops.revenue_pence(slug)
            result.lost += max(tenant.expected_orders - tenant.orders, 0)
