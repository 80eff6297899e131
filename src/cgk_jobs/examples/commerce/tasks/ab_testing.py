"""Experiments: which order counts for which variant, and what the variants earn."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from cgk_jobs import Context, TaskGroup, Tick
from cgk_jobs.clock import to_micros
from cgk_jobs.events.catalogue.ab_testing import (
    AbMetricsAggregate,
    AbOptimize,
    AbOrderReconcile,
    AbTestCreated,
    AbTestEnded,
    AbTestStarted,
)
from cgk_jobs.events.catalogue.commerce import OrderCancelled, OrderCreated
from cgk_jobs.examples.commerce import experiments, orders
from cgk_jobs.examples.commerce.days import DAY, closed_days
from cgk_jobs.examples.commerce.policies import BILLING, DEFAULT, EVERY_3_SECONDS, SHORT
from cgk_jobs.examples.commerce.simulation import simulated

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("ab-testing",)


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    _orders(group, app)
    _metrics(group, app)
    _experiments(group, app)
    return group


def _orders(group: TaskGroup, app: Commerce) -> None:
    @group.task(on=OrderCreated, id="order-ab-attribution", retry=DEFAULT, tags=TAGS)
    async def order_ab_attribution(event: OrderCreated) -> None:
        """Count the order for its variant of each running experiment."""
        with app.shops.current() as db:
            orders.assign_variants(db, event.order_id, event.customer_id, event.total_amount_cents, app.now())

    @group.task(on=OrderCancelled, id="order-ab-test-exclusion", retry=DEFAULT, tags=TAGS)
    async def order_ab_test_exclusion(event: OrderCancelled) -> None:
        """Leave the cancelled order out of every experiment."""
        with app.shops.current() as db:
            orders.exclude(db, event.order_id)

    @group.cron("15 * * * *", tenants="each", id="ab-order-reconciliation", retry=BILLING, tags=TAGS)
    async def order_reconciliation(tick: Tick, ctx: Context) -> int:
        """Attach the orders of the last day that were missed."""
        with app.shops.current() as db:
            return experiments.attach_missed_orders(db, app.now() - DAY)

    @group.task(on=AbOrderReconcile, id="ab-order-reconciliation-manual", retry=BILLING, tags=TAGS)
    async def order_reconciliation_manual(event: AbOrderReconcile) -> int:
        """Attach the order named, or all since a date."""
        since = 0 if event.start_date is None else to_micros(event.start_date)
        with app.shops.current() as db:
            return experiments.attach_missed_orders(db, since, event.order_id)


def _metrics(group: TaskGroup, app: Commerce) -> None:
    @group.cron("15 * * * *", tenants="each", id="ab-hourly-metrics-aggregation", retry=SHORT, tags=TAGS)
    async def hourly_metrics(tick: Tick) -> int:
        """Bring the figures of the day up to date; the hour that just ended may belong to yesterday."""
        day = (tick.scheduled_at.astimezone(UTC) - timedelta(hours=1)).date()
        with app.shops.current() as db:
            return experiments.measure(db, day)

    @group.cron(
        "0 2 * * *",
        timezone="America/New_York",
        tenants="each",
        id="ab-nightly-metrics-reconciliation",
        retry=BILLING,
        tags=TAGS,
    )
    async def nightly_reconciliation(tick: Tick) -> int:
        """Make the figures of the days since the last tick anew from the orders themselves."""
        with app.shops.current() as db:
            return sum(experiments.rebuild(db, day) for day in closed_days(tick))

    @group.task(on=AbMetricsAggregate, id="ab-aggregate-test-metrics", retry=SHORT, tags=TAGS)
    async def aggregate_test_metrics(event: AbMetricsAggregate) -> None:
        """Make all figures of one experiment anew, or of each that runs."""
        with app.shops.current() as db:
            running = db.execute("SELECT test_id FROM ab_tests WHERE state = 'running'").fetchall()
            for test_id in [event.test_id] if event.test_id is not None else [row[0] for row in running]:
                experiments.measure_all(db, test_id)

    @group.cron(
        "0 8 * * *",
        timezone="America/New_York",
        tenants="each",
        id="ab-daily-metrics-summary",
        retry=SHORT,
        tags=TAGS,
    )
    async def daily_summary(tick: Tick, ctx: Context) -> None:
        """Post the running experiments to the team."""
        with app.shops.current() as db:
            text = experiments.summary(db, app.now())
        if text:
            key = f"ab-summary:{tick.scheduled_at.date()}"
            await app.chat.post(ctx.tenant_id, key, "#experiments", text)

    simulated(
        group.cron(
            "0 */6 * * *",
            tenants="each",
            id="ab-sync-redis-to-postgres",
            retry=BILLING,
            tags=("ab-testing", "simulated"),
        ),
        "Persist cached experiment counters to the database",
    )


def _experiments(group: TaskGroup, app: Commerce) -> None:
    @group.task(on=AbTestCreated, id="ab-handle-test-created", retry=SHORT, tags=TAGS)
    async def handle_test_created(event: AbTestCreated) -> None:
        """Enter the experiment as a draft with equal weights."""
        with app.shops.current() as db:
            db.execute(
                "INSERT INTO ab_tests (test_id, name) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (event.test_id, event.name),
            )
            db.executemany(
                "INSERT INTO ab_variants (test_id, variant, weight) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                [(event.test_id, chr(ord("A") + n), 100 // event.variants) for n in range(event.variants)],
            )

    @group.task(on=AbTestStarted, id="ab-handle-test-started", retry=SHORT, tags=TAGS)
    async def handle_test_started(event: AbTestStarted) -> None:
        """From now on orders count for it."""
        with app.shops.current() as db:
            db.execute("UPDATE ab_tests SET state = 'running' WHERE test_id = ? AND state = 'draft'", (event.test_id,))

    @group.task(on=AbTestEnded, id="ab-handle-test-ended", retry=SHORT, tags=TAGS)
    async def handle_test_ended(event: AbTestEnded) -> None:
        """Close it and count it for the last time."""
        with app.shops.current() as db:
            db.execute(
                "UPDATE ab_tests SET state = 'ended', winner = ? WHERE test_id = ?",
                (event.winning_variant, event.test_id),
            )
            experiments.measure_all(db, event.test_id)

    @group.cron("*/5 * * * *", tenants="each", id="ab-test-scheduler", retry=EVERY_3_SECONDS, tags=TAGS)
    async def test_scheduler(tick: Tick) -> int:
        """Start and end experiments whose time has come."""
        with app.shops.current() as db:
            return experiments.start_and_stop(db, app.now())

    @group.cron("*/15 * * * *", tenants="each", id="ab-optimization", retry=EVERY_3_SECONDS, tags=TAGS)
    async def optimization(tick: Tick) -> int:
        """Shift traffic to the variants that earn more."""
        with app.shops.current() as db:
            return experiments.optimize(db, app.now())

    @group.task(on=AbOptimize, id="ab-optimize-test", retry=EVERY_3_SECONDS, tags=TAGS)
    async def optimize_test(event: AbOptimize) -> int:
        """Weigh the variants of one experiment, or of all."""
        with app.shops.current() as db:
            return experiments.optimize(db, app.now(), event.test_id)

    @group.cron("0 9 * * *", tenants="each", id="ab-optimization-summary", retry=SHORT, tags=TAGS)
    async def optimization_summary(tick: Tick, ctx: Context) -> None:
        """Post how the traffic is divided."""
        with app.shops.current() as db:
            rows = db.execute(
                "SELECT test_id, variant, weight FROM ab_variants JOIN ab_tests USING (test_id)"
                " WHERE state = 'running' ORDER BY test_id, variant"
            ).fetchall()
        if rows:
            text = "\n".join(f"{test_id} {variant}: {weight}" for test_id, variant, weight in rows)
            await app.chat.post(ctx.tenant_id, f"ab-weights:{tick.scheduled_at.date()}", "#experiments", text)
