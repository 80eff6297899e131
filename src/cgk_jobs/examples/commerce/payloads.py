"""What on-demand tasks without an event of their own take, where several of them take the same."""

from __future__ import annotations

from cgk_jobs import Event

__all__ = ["OrderIds", "WholeShop"]


class WholeShop(Event):
    """Work on everything the tenant has."""


class OrderIds(Event):
    """Work on these orders."""

    order_ids: list[str]
