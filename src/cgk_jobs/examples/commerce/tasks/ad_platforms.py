"""Advertising platforms: purchases reported to them, costs read from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgk_jobs import Batch, Context, Event, TaskGroup
from cgk_jobs.events.catalogue.commerce import OrderPaid
from cgk_jobs.examples.commerce.policies import DEFAULT, SHORT, STANDARD, VENDOR_BATCH
from cgk_jobs.examples.commerce.simulation import simulated

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["Purchase", "tasks"]

TAGS = ("ad-platforms",)
SIMULATED = ("ad-platforms", "simulated")
PLATFORMS = ("ga4", "meta", "tiktok")
PAID_TOGETHER = Batch(50, seconds=5)
"""Orders of a tenant that are reported in one run: a sale's rush makes a few runs, and nobody waits for an advertisement."""


class Purchase(Event):
    """A paid order, as the platforms count it."""

    order_id: str
    amount_cents: int
    currency: str


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    _purchases(group, app)
    _costs(group)
    return group


def _purchases(group: TaskGroup, app: Commerce) -> None:
    async def report(platform: str, order_id: str, amount_cents: int, currency: str, *, tenant_id: str) -> bool:
        # The key is the order's: whichever task reports it first, each platform counts an order once.
        answer = await app.ads.purchase(tenant_id, f"{platform}:{order_id}", platform, order_id, amount_cents, currency)
        return not answer.repeated

    async def report_purchase(platform: str, purchase: Purchase) -> bool:
        return await report(
            platform, purchase.order_id, purchase.amount_cents, purchase.currency, tenant_id=purchase.tenant_id
        )

    @group.task(id="analytics-send-ga4-purchase", retry=SHORT, tags=TAGS)
    async def send_ga4_purchase(purchase: Purchase) -> bool:
        """Report a purchase to Google Analytics; false if it was reported before."""
        return await report_purchase("ga4", purchase)

    @group.task(id="analytics-send-meta-purchase", retry=SHORT, tags=TAGS)
    async def send_meta_purchase(purchase: Purchase) -> bool:
        """Report a purchase to Meta; false if it was reported before."""
        return await report_purchase("meta", purchase)

    @group.task(id="analytics-send-tiktok-event", retry=SHORT, tags=TAGS)
    async def send_tiktok_event(purchase: Purchase) -> bool:
        """Report a purchase to TikTok; false if it was reported before."""
        return await report_purchase("tiktok", purchase)

    async def report_all(platform: str, events: list[OrderPaid]) -> int:
        new = 0
        for event in events:
            new += await report(
                platform, event.order_id, event.total_amount_cents, event.currency, tenant_id=event.tenant_id
            )
        return new

    @group.task(on=OrderPaid, id="order-pixel-events", retry=DEFAULT, batch=PAID_TOGETHER, tags=TAGS)
    async def order_pixel_events(events: list[OrderPaid], ctx: Context) -> int:
        """Report paid orders to every platform, a step each; says how often an order was new to a platform."""
        return sum([await ctx.step(platform, report_all, platform, events) for platform in PLATFORMS])


def _costs(group: TaskGroup) -> None:
    for id, cron, retry, purpose in (
        ("sync-tiktok-spend-daily", "0 3 * * *", STANDARD, "Fetch yesterday's TikTok advertising cost"),
        ("analytics-sync-google-ads-spend", "0 5 * * *", VENDOR_BATCH, "Fetch daily Google Ads cost"),
        ("analytics-sync-meta-ads-spend", "0 5 * * *", VENDOR_BATCH, "Fetch daily Meta advertising cost"),
    ):
        simulated(group.cron(cron, tenants="each", id=id, retry=retry, tags=SIMULATED), purpose)
