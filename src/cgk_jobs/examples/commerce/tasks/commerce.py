"""Orders, products, customers and stock of the shop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgk_jobs import Context, DuplicateKey, Event, Limit, TaskGroup
from cgk_jobs.events.catalogue.commerce import (
    CustomerCreated,
    CustomerUpdated,
    InventorySync,
    OrderCreated,
    OrderFulfilled,
    OrderReceived,
    ProductSync,
)
from cgk_jobs.events.catalogue.reviews import ReviewEmailQueued
from cgk_jobs.examples.commerce import orders, review_mails
from cgk_jobs.examples.commerce.payloads import OrderIds
from cgk_jobs.examples.commerce.policies import BATCH, DEFAULT, SHOP
from cgk_jobs.examples.commerce.simulation import simulated
from cgk_jobs.examples.commerce.stream import OrderAdjusted

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


class OneCollection(Event):
    """A collection of the shop."""

    collection_id: str


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    _orders(group, app)
    _customers_and_stock(group, app)
    _catalogue(group)
    return group


def _orders(group: TaskGroup, app: Commerce) -> None:
    @group.task(
        on=OrderCreated,
        id="commerce-handle-order-created",
        retry=SHOP,
        concurrency=Limit(10, per="tenant"),
        tags=("commerce",),
    )
    async def handle_order_created(event: OrderCreated) -> None:
        """Enter the order in the books and add it to the customer's totals."""
        with app.shops.current() as db:
            orders.book(
                db,
                event.order_id,
                "created",
                event.total_amount_cents,
                event.currency,
                app.now(),
                event.customer_id,
            )

    @group.task(on=OrderCreated, id="commerce-order-attribution", retry=SHOP, tags=("commerce",))
    async def order_attribution(event: OrderCreated) -> None:
        """Credit the channel that brought the order."""
        with app.shops.current() as db:
            orders.attribute(db, event.order_id, event.customer_id, app.now())

    @group.task(on=OrderCreated, id="commerce-order-commission", retry=SHOP, tags=("commerce",))
    async def order_commission(event: OrderCreated) -> None:
        """Grant the creator who brought the customer a commission."""
        with app.shops.current() as db:
            orders.grant_commission(
                db, event.order_id, event.customer_id, event.total_amount_cents, event.currency, app.now()
            )

    @group.task(
        on=OrderReceived,
        id="commerce-sync-order",
        retry=SHOP,
        timeout=SHOP_WEBHOOK_SECONDS,
        tags=("commerce",),
    )
    async def sync_order(event: OrderReceived, ctx: Context) -> None:
        """Announce an order that the shop reported; a second report of it is silent, also with other figures."""
        announcement = OrderCreated(
            tenant_id=event.tenant_id,
            order_id=event.order_id,
            shopify_order_id=event.shopify_order_id,
            customer_id=event.customer_id,
            total_amount_cents=event.total_amount_cents,
            currency=event.currency,
        )
        try:
            await ctx.send(announcement, key=f"order:{event.order_id}")
        except DuplicateKey:
            ctx.log.warning("order %s was reported with other figures before; the first report stands", event.order_id)

    @group.task(on=OrderFulfilled, id="commerce-handle-order-fulfilled", retry=SHOP, tags=("commerce",))
    async def handle_order_fulfilled(event: OrderFulfilled) -> None:
        """Note the shipment and let go of the review mails that waited for it."""
        with app.shops.current() as db:
            db.execute(
                "INSERT INTO fulfilments (fulfillment_id, order_id, tracking_number, shipped_at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET tracking_number = excluded.tracking_number",
                (event.fulfillment_id, event.order_id, event.tracking_number, app.now()),
            )
            review_mails.release_delivered(db, event.order_id)

    @group.task(on=OrderFulfilled, id="commerce-order-review-email", retry=SHOP, tags=("commerce",))
    async def order_review_email(event: OrderFulfilled, ctx: Context) -> str:
        """Ask for a review some days after the shipment and once more a week later.

        One run for the whole sequence: it sleeps for days and holds no worker meanwhile. It ends early if a review came
        in, or if the order or its mails were cancelled; cancelling the run, by its id or a tag, stops it at once.
        """
        planned = await ctx.step("plan", review_mails.plan, app, event.order_id)
        if not planned:
            return "no address"
        for number, wait in enumerate((app.review_request_after, app.review_follow_up_after), start=1):
            await ctx.sleep(wait)
            due = await ctx.step(f"mail-{number}", review_mails.due, app, event.order_id, number)
            if due is None:
                return f"stopped before mail {number}"
            mail_id = review_mails.mail_id_of(event.order_id, number)
            await ctx.send(
                ReviewEmailQueued(
                    tenant_id=event.tenant_id,
                    review_email_id=mail_id,
                    order_id=event.order_id,
                    customer_id=due[0],
                    template_id=due[1],
                ),
                key=mail_id,
            )
        return "both mails queued"

    @group.task(on=OrderAdjusted, id="commerce-handle-order-adjusted", retry=SHOP, tags=("commerce",))
    async def handle_order_adjusted(event: OrderAdjusted) -> None:
        """Enter a correction in the books. Not in the inventory, as the event is this example's own."""
        with app.shops.current() as db:
            orders.book(db, event.order_id, "adjusted", event.amount_cents, event.currency, app.now())

    simulated(
        group.task(id="commerce-sync-order-batch", retry=BATCH, tags=("commerce", "simulated")),
        "Backfill many orders page by page",
        payload=OrderIds,
    )
    simulated(
        group.cron(
            "30 * * * *",
            tenants="each",
            id="commerce-order-reconciliation",
            retry=BATCH,
            tags=("commerce", "simulated"),
        ),
        "Catch orders whose webhook never arrived",
    )


def _customers_and_stock(group: TaskGroup, app: Commerce) -> None:
    @group.task(on=CustomerCreated, id="commerce-handle-customer-created", retry=SHOP, tags=("commerce",))
    async def handle_customer_created(event: CustomerCreated) -> None:
        """Keep the address of a new customer."""
        with app.shops.current() as db:
            db.execute(
                "INSERT INTO customers (customer_id, email) VALUES (?, ?)"
                " ON CONFLICT DO UPDATE SET email = excluded.email",
                (event.customer_id, event.email),
            )

    @group.task(on=CustomerUpdated, id="commerce-handle-customer-updated", retry=SHOP, tags=("commerce",))
    async def handle_customer_updated(event: CustomerUpdated) -> None:
        """Take over the changed fields that this application keeps: address, telephone, consent to text messages."""
        changes = event.changes
        consent = changes.get("sms_consent")
        with app.shops.current() as db:
            db.execute(
                "INSERT INTO customers (customer_id, email, phone, sms_consent) VALUES (?1, ?2, ?3, coalesce(?4, 0))"
                " ON CONFLICT DO UPDATE SET email = coalesce(?2, email), phone = coalesce(?3, phone),"
                " sms_consent = coalesce(?4, sms_consent)",
                (
                    event.customer_id,
                    changes.get("email"),
                    changes.get("phone"),
                    None if consent is None else int(bool(consent)),
                ),
            )

    @group.task(id="commerce-inventory-update", retry=SHOP, ordered_by="variant_id", tags=("commerce",))
    async def inventory_update(count: StockCount) -> None:
        """Note how many pieces of a variant are there. A count that is tried again is not overtaken by the one after it."""
        with app.shops.current() as db:
            db.execute(
                "INSERT INTO stock (variant_id, location_id, quantity, counted_at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET quantity = excluded.quantity, counted_at = excluded.counted_at",
                (count.variant_id, count.location_id, count.quantity, app.now()),
            )

    simulated(
        group.task(on=InventorySync, id="commerce-handle-inventory-sync", retry=SHOP, tags=("commerce", "simulated")),
        "Answer a stock refresh request",
    )
    simulated(
        group.cron(
            "0 * * * *",
            tenants="each",
            id="commerce-inventory-batch-sync",
            retry=BATCH,
            tags=("commerce", "simulated"),
        ),
        "Refresh stock levels in bulk every hour",
    )
    simulated(
        group.cron(
            "0 4 * * *",
            tenants="each",
            id="commerce-customer-sync",
            retry=SHOP,
            tags=("commerce", "simulated"),
        ),
        "Refresh customer records from the shop",
    )
    simulated(
        group.task(id="commerce-customer-batch-sync", retry=BATCH, tags=("commerce", "simulated")),
        "Refresh many customers in pages",
    )


def _catalogue(group: TaskGroup) -> None:
    simulated(
        group.cron(
            "0 3 * * *",
            tenants="each",
            id="commerce-product-sync",
            retry=SHOP,
            tags=("commerce", "simulated"),
        ),
        "Refresh product data from the shop",
    )
    simulated(
        group.task(id="commerce-product-batch-sync", retry=BATCH, tags=("commerce", "simulated")),
        "Refresh many products in pages",
    )
    simulated(
        group.task(on=ProductSync, id="commerce-handle-product-sync", retry=SHOP, tags=("commerce", "simulated")),
        "Answer a product refresh request",
    )
    simulated(
        group.cron(
            "0 5 * * *",
            tenants="each",
            id="commerce-collection-sync",
            retry=SHOP,
            tags=("commerce", "simulated"),
        ),
        "Refresh shop collections",
    )
    simulated(
        group.task(id="commerce-collection-products-sync", retry=SHOP, tags=("commerce", "simulated")),
        "Refresh the product membership of one collection",
        payload=OneCollection,
    )
    simulated(
        group.task(id="import-shopify-products", retry=DEFAULT, tags=("commerce", "simulated")),
        "Load the entire catalogue while a tenant is onboarded",
    )
    simulated(
        group.task(id="selling-plan-sync", retry=DEFAULT, tags=("commerce", "simulated")),
        "Mirror subscription selling plans with the shop",
    )
