"""Orders, customers, products and stock of the shop."""

from __future__ import annotations

from datetime import datetime

from cgk_jobs.events.event import Event
from cgk_jobs.events.fields import DEFAULT_CURRENCY, Cents, Currency, JsonObject

__all__ = [
    "CustomerCreated",
    "CustomerUpdated",
    "GiftCardRewardEarned",
    "InventorySync",
    "OrderCancelled",
    "OrderCreated",
    "OrderFulfilled",
    "OrderPaid",
    "OrderReceived",
    "OrderRefunded",
    "ProductSync",
]


class OrderReceived(Event, name="order.received"):
    """The shop reported an order that is not imported yet; once it is, ``order.created`` follows.

    The shop may report one order several times.
    """

    order_id: str
    shopify_order_id: str | None = None
    customer_id: str | None = None
    total_amount_cents: Cents
    currency: Currency = DEFAULT_CURRENCY


class OrderCreated(Event, name="order.created"):
    """A shop order was placed. ``total_amount_cents`` is what the customer owes, taxes and shipping included."""

    order_id: str
    shopify_order_id: str | None = None
    customer_id: str | None = None
    total_amount_cents: Cents
    currency: Currency = DEFAULT_CURRENCY


class OrderPaid(Event, name="order.paid"):
    """The payment of an order arrived."""

    order_id: str
    customer_id: str | None = None
    total_amount_cents: Cents
    currency: Currency = DEFAULT_CURRENCY
    paid_at: datetime | None = None


class OrderFulfilled(Event, name="order.fulfilled"):
    """An order, or one parcel of it, was handed to the carrier."""

    order_id: str
    fulfillment_id: str
    tracking_number: str | None = None
    carrier: str | None = None


class OrderCancelled(Event, name="order.cancelled"):
    """An order was called off. ``refund_amount_cents`` is what the customer gets back, as a positive number."""

    order_id: str
    reason: str | None = None
    refund_amount_cents: Cents | None = None
    currency: Currency = DEFAULT_CURRENCY


class OrderRefunded(Event, name="order.refunded"):
    """Part or all of a paid order was refunded; the order itself stands.

    ``refund_amount_cents`` is what this refund gives back, as a positive number; an order may be refunded repeatedly.
    """

    order_id: str
    refund_id: str
    refund_amount_cents: Cents
    currency: Currency = DEFAULT_CURRENCY


class GiftCardRewardEarned(Event, name="gift_card.reward_earned"):
    """A paid order earned its customer a gift card reward that is still to be granted."""

    order_id: str
    customer_id: str
    order_amount_cents: Cents
    currency: Currency = DEFAULT_CURRENCY


class CustomerCreated(Event, name="customer.created"):
    """A shop customer registered."""

    customer_id: str
    email: str
    shopify_customer_id: str | None = None


class CustomerUpdated(Event, name="customer.updated"):
    """Fields of a customer changed. ``changes`` maps the name of each changed field to its new value."""

    customer_id: str
    changes: JsonObject


class ProductSync(Event, name="product.sync"):
    """Refresh one product or, without ``product_id``, the catalogue; ``full_sync`` ignores what is already known."""

    product_id: str | None = None
    full_sync: bool | None = None


class InventorySync(Event, name="inventory.sync"):
    """Refresh stock levels; each field given narrows what is refreshed."""

    product_id: str | None = None
    variant_id: str | None = None
    location_id: str | None = None
