"""Figures by hour, day and week, and reports of them."""

from __future__ import annotations

import datetime as dt
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from cgk_jobs import Context, Event, TaskGroup, Tick
from cgk_jobs.clock import to_micros
from cgk_jobs.events.catalogue.scheduled import DailyMetrics
from cgk_jobs.examples.commerce import channels, figures
from cgk_jobs.examples.commerce.days import HOUR, closed_days
from cgk_jobs.examples.commerce.people import setting
from cgk_jobs.examples.commerce.policies import DEFAULT, STANDARD, VENDOR_BATCH

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("analytics",)
REPORT_HOUR = "9"
"""When the team reads yesterday's figures, on the tenant's clocks, where ``slack_report_hour`` says nothing else."""
DAYS_AT_ONCE = 4
"""Days whose figures are made at the same time, after an outage of many."""
MOST_HOURS = 48
"""How far the hourly fold catches up after an outage; the daily one goes further."""


class ReportOrder(Event):
    """A report to build and mail: of ``day``, yesterday where not given, to ``recipient``."""

    report: Literal["revenue", "channels"]
    recipient: str
    day: dt.date | None = None


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    _aggregation(group, app)
    _reports(group, app)
    return group


def _aggregation(group: TaskGroup, app: Commerce) -> None:
    @group.cron("5 * * * *", tenants="each", id="analytics-hourly-metrics-rollup", retry=VENDOR_BATCH, tags=TAGS)
    async def hourly_rollup(tick: Tick) -> int:
        """Fold the hours that ended since the last tick into totals; says how many had orders."""
        end = to_micros(tick.scheduled_at) // HOUR * HOUR
        first = end - HOUR if tick.previous_at is None else to_micros(tick.previous_at) // HOUR * HOUR
        with app.shops.current() as db:
            return figures.measure_hours(db, max(min(first, end - HOUR), end - MOST_HOURS * HOUR), end)

    @group.cron("0 2 * * *", tenants="each", id="analytics-aggregate-daily-metrics", retry=VENDOR_BATCH, tags=TAGS)
    async def daily_metrics(tick: Tick, ctx: Context) -> int:
        """Store the snapshots of the days that ended since the last tick; says how many had orders.

        Each day is a run of its own: one that fails is tried again alone. Most tenants have no order on most days, and
        nothing is called for those.
        """
        days = closed_days(tick)
        with app.shops.current() as db:
            busy = figures.busy_days(db, days[0], days[-1])
        if not busy:
            return 0
        # In a step, as an order may come in late between two attempts, and the calls must be the same in both.
        wanted: list[str] = await ctx.step("days", lambda: [day.isoformat() for day in busy])
        orders = [
            DailyMetrics(tenant_id=ctx.tenant_id, date=dt.date.fromisoformat(day), metrics=["revenue", "customers"])
            for day in wanted
        ]
        return sum(await ctx.map(daily_metrics_on_request, orders, concurrency=DAYS_AT_ONCE))

    @group.task(on=DailyMetrics, id="analytics-aggregate-daily-metrics-on-request", retry=VENDOR_BATCH, tags=TAGS)
    async def daily_metrics_on_request(event: DailyMetrics) -> bool:
        """Store the figures of one day anew: all of them, or those asked for; false if it had no orders."""
        with app.shops.current() as db:
            day = event.date or app.today() - timedelta(days=1)
            wanted = set(event.metrics or ("all",))
            found = False
            # Revenue and customers are columns of one row.
            if wanted & {"all", "revenue", "customers"}:
                found = figures.measure_days(db, day, day) > 0
            if wanted & {"all", "attribution"}:
                channels.measure_day(db, day)
            return found

    @group.cron("0 8 * * 1", tenants="each", id="analytics-weekly-metrics-summary", retry=VENDOR_BATCH, tags=TAGS)
    async def weekly_summary(tick: Tick) -> bool:
        """Sum last week beside the week before; false if neither had orders."""
        today = tick.scheduled_at.astimezone(UTC).date()
        monday = today - timedelta(days=today.weekday() + 7)
        with app.shops.current() as db:
            return figures.measure_week(db, monday)


def _reports(group: TaskGroup, app: Commerce) -> None:
    @group.task(id="scheduled-reports", retry=STANDARD, tags=TAGS)
    async def scheduled_reports(order: ReportOrder) -> str:
        """Build a report, keep it, and mail it to who ordered it, once for each day; the report."""
        day = order.day or app.today() - timedelta(days=1)
        with app.shops.current() as db:
            if order.report == "revenue":
                body = _day_report(figures.day_of(db, day))
            else:
                rows = db.execute(
                    "SELECT channel, orders, revenue_cents FROM attribution_days WHERE day_on = ? ORDER BY channel",
                    (day.isoformat(),),
                ).fetchall()
                body = "\n".join(
                    f"{channel}: {orders} orders, {figures.money(cents)}" for channel, orders, cents in rows
                )
            kind = f"report-{order.report}"
            db.execute(
                "INSERT INTO digests (kind, day_on, body) VALUES (?, ?, ?)"
                " ON CONFLICT DO UPDATE SET body = excluded.body",
                (kind, day.isoformat(), body),
            )
        key = f"{kind}:{day}:{order.recipient}"
        await app.mailer.mail(order.tenant_id, key, order.recipient, kind, day.isoformat())
        return body

    @group.cron("30 * * * *", tenants="each", id="slack-performance-reports", retry=DEFAULT, tags=TAGS)
    async def slack_performance_reports(tick: Tick) -> bool:
        """Post yesterday's figures once a day, at the hour the tenant chose or, if that tick was missed, after it.

        Says whether they were posted now; a day without orders is not worth a post.
        """
        with app.shops.current() as db:
            local = tick.scheduled_at.astimezone(ZoneInfo(setting(db, "timezone", "UTC")))
            chosen = local.replace(hour=int(setting(db, "slack_report_hour", REPORT_HOUR)), minute=0)
            if chosen > local:
                chosen -= timedelta(days=1)
            day = chosen.astimezone(UTC).date() - timedelta(days=1)
            if setting(db, "performance_posted_on", "") >= day.isoformat():
                return False
            report = figures.day_of(db, day)
        if not report.orders:
            return False
        await app.chat.post(tick.tenant_id, f"performance:{day}", "#performance", _day_report(report))
        with app.shops.current() as db:
            db.execute(
                "INSERT INTO settings (name, value) VALUES ('performance_posted_on', ?)"
                " ON CONFLICT DO UPDATE SET value = excluded.value",
                (day.isoformat(),),
            )
        return True


def _day_report(day: figures.Day) -> str:
    return (
        f"{day.orders} orders, revenue {figures.money(day.revenue_cents)}, refunds {figures.money(day.refunds_cents)}"
    )
