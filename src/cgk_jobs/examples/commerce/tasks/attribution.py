"""Attribution: which channel brought an order."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cgk_jobs import Context, Retry, TaskGroup, Tick
from cgk_jobs.clock import from_micros, to_micros
from cgk_jobs.events.catalogue.attribution import (
    AttributionExport,
    AttributionRecalculate,
    ConversionAttributed,
    ConversionRecorded,
)
from cgk_jobs.examples.commerce import channels
from cgk_jobs.examples.commerce.days import DAY, closed_days, span
from cgk_jobs.examples.commerce.payloads import OrderIds
from cgk_jobs.examples.commerce.policies import STANDARD, VENDOR_TWICE
from cgk_jobs.examples.commerce.simulation import simulated
from cgk_jobs.tasks.task import Task

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("attribution",)
SIMULATED = ("attribution", "simulated")
RECENT_DAYS = 3
HALF_AN_HOUR = 1800


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    recalculate = _credits(group, app)
    reconcile = _reconciliation(group, app)
    _figures(group, app, recalculate, reconcile)
    _vendors(group)
    return group


def _credits(group: TaskGroup, app: Commerce) -> Task[Any]:
    """Declares them; the task that credits orders anew."""

    @group.task(on=ConversionRecorded, id="analytics-process-attribution", retry=STANDARD, tags=TAGS)
    async def process_attribution(event: ConversionRecorded, ctx: Context) -> int:
        """Score one conversion under all five models and publish each; says among how many contacts it was shared."""
        at = app.now() if event.converted_at is None else to_micros(event.converted_at)
        with app.shops.current() as db:
            contacts = [
                (channel, (at - touched_at) / DAY)
                for channel, touched_at in db.execute(
                    "SELECT channel, touched_at FROM touchpoints WHERE customer_id = ? AND touched_at <= ?"
                    " ORDER BY touched_at",
                    (event.customer_id, at),
                ).fetchall()
            ]
            if contacts:
                channels.credit_conversion(db, event.order_id, contacts)
        for model in channels.MODELS if contacts else ():
            await ctx.send(
                ConversionAttributed(
                    tenant_id=ctx.tenant_id,
                    order_id=event.order_id,
                    attribution_model=model,
                    touchpoints=len(contacts),
                ),
                key=ctx.idempotency_key(model),
            )
        return len(contacts)

    @group.task(
        on=AttributionRecalculate, id="attribution-recalculate-recent-on-request", retry=VENDOR_TWICE, tags=TAGS
    )
    async def recalculate_on_request(event: AttributionRecalculate) -> int:
        """Credit one order, the orders of a span, or those of the last days anew; says how many changed."""
        until = app.now() + 1 if event.end_date is None else to_micros(event.end_date)
        days = RECENT_DAYS if event.recalculate_days is None else event.recalculate_days
        since = until - days * DAY if event.start_date is None else to_micros(event.start_date)
        with app.shops.current() as db:
            return channels.recalculate(db, 0 if event.order_id is not None else since, until, event.order_id)

    @group.cron("0 4 * * *", tenants="each", id="attribution-recalculate-recent", retry=VENDOR_TWICE, tags=TAGS)
    async def recalculate_recent(tick: Tick, ctx: Context) -> int:
        """Credit the orders of the latest three days anew, each day in a run of its own; says how many changed.

        A day that fails is tried again alone; this run holds no worker meanwhile.
        """
        ends = [tick.scheduled_at - timedelta(days=number) for number in range(RECENT_DAYS)]
        days = [
            AttributionRecalculate(tenant_id=tick.tenant_id, start_date=end - timedelta(days=1), end_date=end)
            for end in ends
        ]
        return sum(await ctx.map(recalculate_on_request, days, concurrency=RECENT_DAYS))

    return recalculate_on_request


def _reconciliation(group: TaskGroup, app: Commerce) -> Task[Any]:
    """Declares them; the task that looks again at selected orders."""

    @group.cron("45 * * * *", tenants="each", id="attribution-order-reconciliation", retry=VENDOR_TWICE, tags=TAGS)
    async def order_reconciliation(tick: Tick) -> int:
        """Queue the orders of the last day that nobody credited; says how many."""
        until = to_micros(tick.scheduled_at)
        with app.shops.current() as db:
            return channels.find_uncredited(db, until - DAY, until)

    @group.task(id="attribution-order-reconciliation-manual", retry=STANDARD, tags=TAGS)
    async def order_reconciliation_manual(selected: OrderIds) -> int:
        """Credit the selected orders anew, and look again at those in the queue; says how many changed."""
        with app.shops.current() as db:
            changed = sum(channels.recalculate(db, 0, app.now() + 1, order_id) for order_id in selected.order_ids)
            return changed + channels.retry_unattributed(db, len(selected.order_ids), selected.order_ids)

    @group.cron("30 * * * *", tenants="each", id="attribution-process-unattributed", retry=VENDOR_TWICE, tags=TAGS)
    async def process_unattributed(tick: Tick) -> int:
        """Look again for the channel of fifty orders without credit; says how many have one now."""
        with app.shops.current() as db:
            return channels.retry_unattributed(db)

    return order_reconciliation_manual


def _figures(group: TaskGroup, app: Commerce, recalculate: Task[Any], reconcile: Task[Any]) -> None:
    @group.cron("10 2 * * *", tenants="each", id="attribution-daily-metrics", retry=VENDOR_TWICE, tags=TAGS)
    async def daily_metrics(tick: Tick, ctx: Context) -> None:
        """Sum orders and revenue per channel of the days since the last tick, once their credits are as they should be.

        The two tasks that see to the credits run side by side, and this one holds no worker meanwhile.
        """
        days = closed_days(tick)
        start, end = span(days[0], days[-1])

        def queued() -> list[str]:
            with app.shops.current() as db:
                return channels.queued_in(db, start, end)

        waiting = OrderIds(tenant_id=ctx.tenant_id, order_ids=await ctx.step("queued", queued))
        credited = AttributionRecalculate(
            tenant_id=ctx.tenant_id, start_date=from_micros(start), end_date=from_micros(end)
        )
        await ctx.gather(ctx.call(recalculate, credited), ctx.call(reconcile, waiting))
        with app.shops.current() as db:
            for day in days:
                channels.measure_day(db, day)

    def build_exports(export_id: str | None = None) -> int:
        with app.shops.current() as db:
            asked = db.execute(
                "SELECT export_id, format FROM exports WHERE body IS NULL AND (?1 IS NULL OR export_id = ?1)"
                " ORDER BY asked_at",
                (export_id,),
            ).fetchall()
            for asked_id, kind in asked:
                channels.build_export(db, asked_id, kind)
            return len(asked)

    @group.cron("*/15 * * * *", tenants="each", id="attribution-export-scheduler", retry=STANDARD, tags=TAGS)
    async def export_scheduler(tick: Tick) -> int:
        """Build the export files that were asked for; says how many."""
        return build_exports()

    @group.task(on=AttributionExport, id="attribution-export-scheduler-on-request", retry=STANDARD, tags=TAGS)
    async def export_on_request(event: AttributionExport) -> int:
        """Enter an export and build its file at once; says how many were built: none if it was there before."""
        with app.shops.current() as db:
            db.execute(
                "INSERT INTO exports (export_id, format, asked_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (event.export_id, event.format, app.now()),
            )
        return build_exports(event.export_id)


def _vendors(group: TaskGroup) -> None:
    simulated(
        group.cron("15 * * * *", tenants="each", id="attribution-fairing-bridge", retry=STANDARD, tags=SIMULATED),
        "Pull post-purchase answers from Fairing",
    )
    simulated(
        group.cron(
            "0 4 * * *",
            tenants="each",
            id="attribution-ml-training",
            retry=Retry(max_attempts=2, initial=60, maximum=300),
            timeout=HALF_AN_HOUR,
            tags=SIMULATED,
        ),
        "Train the attribution model on recent conversions",
    )
    simulated(
        group.cron("30 2 * * *", tenants="each", id="attribution-vta-sync", retry=VENDOR_TWICE, tags=SIMULATED),
        "Import view-through conversions from ad networks",
    )
    simulated(
        group.cron("*/5 * * * *", tenants="each", id="attribution-webhook-queue", retry=STANDARD, tags=SIMULATED),
        "Drain queued attribution callbacks",
    )
