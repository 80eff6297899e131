"""Digests: what people read in the morning."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from typing import TYPE_CHECKING

from cgk_jobs import Context, TaskGroup, Tick
from cgk_jobs.events.catalogue.scheduled import WeeklyDigest
from cgk_jobs.examples.commerce import earnings, figures, paying
from cgk_jobs.examples.commerce.days import closed_days, span
from cgk_jobs.examples.commerce.people import setting
from cgk_jobs.examples.commerce.policies import STANDARD
from cgk_jobs.examples.commerce.vendor_failures import for_each

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("digests",)
NEW_YORK = "America/New_York"
SOON_DAYS = 3
"""A project is in danger when its deadline is this near, or over."""

AT_RISK = """
    SELECT project_id, state, deadline_on FROM projects
    WHERE state = 'overdue' OR (state IN ('open', 'shipped', 'in_progress') AND deadline_on <= ?) ORDER BY deadline_on
"""


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    _administrators(group, app)
    _creators(group, app)
    return group


def _administrators(group: TaskGroup, app: Commerce) -> None:
    async def send(ctx: Context, kind: str, occasion: str, body: str) -> None:
        """Keep a digest and mail it to the administrators, once for each occasion."""
        with app.shops.current() as db:
            db.execute(
                "INSERT INTO digests (kind, day_on, body) VALUES (?, ?, ?)"
                " ON CONFLICT DO UPDATE SET body = excluded.body",
                (kind, occasion, body),
            )
            recipient = setting(db, "admin_email", "")
        if recipient:
            await app.mailer.mail(ctx.tenant_id, f"{kind}:{occasion}", recipient, kind, occasion)

    @group.cron("0 8 * * 1-5", timezone=NEW_YORK, tenants="each", id="admin-daily-digest", retry=STANDARD, tags=TAGS)
    async def admin_daily_digest(tick: Tick, ctx: Context) -> bool:
        """Mail the workday's overview: orders since the last one, payouts that wait; nothing if there is nothing."""
        days = closed_days(tick)
        lines: list[str] = []
        with app.shops.current() as db:
            for day in days:
                sold = figures.day_of(db, day)
                if sold.orders or sold.revenue_cents:
                    lines.append(f"{day}: {sold.orders} orders, {figures.money(sold.revenue_cents)}")
            waiting = db.execute(
                "SELECT count(*) FROM payouts WHERE state IN ('requested', 'manual_review')"
            ).fetchone()[0]
        if waiting:
            lines.append(f"{waiting} payouts wait for a person")
        if lines:
            await send(ctx, "admin-digest", tick.local_time.date().isoformat(), "\n".join(lines))
        return bool(lines)

    @group.cron(
        "0 9,14 * * 1-5", timezone=NEW_YORK, tenants="each", id="at-risk-projects-alert", retry=STANDARD, tags=TAGS
    )
    async def at_risk_projects_alert(tick: Tick, ctx: Context) -> int:
        """Mail the projects in danger, twice each workday; says how many there are."""
        soon = tick.local_time.date() + timedelta(days=SOON_DAYS)
        with app.shops.current() as db:
            projects = db.execute(AT_RISK, (soon.isoformat(),)).fetchall()
        if projects:
            body = "\n".join(f"{project_id}: {state}, due {due or 'any time'}" for project_id, state, due in projects)
            await send(ctx, "at-risk-projects", tick.local_time.isoformat(timespec="hours"), body)
        return len(projects)


def _creators(group: TaskGroup, app: Commerce) -> None:
    async def recap(monday: date, creator_id: str | None = None) -> int:
        with app.shops.current() as db:
            earned = earnings.earned_in(db, *span(monday, monday + timedelta(days=6)))
        chosen = [one for one in earned if creator_id in (None, one.creator_id)]
        return await for_each(
            chosen,
            lambda one: paying.tell(app, one.creator_id, "weekly-recap", f"{one.creator_id}:{monday}:{one.currency}"),
        )

    @group.cron("0 10 * * 1", timezone=NEW_YORK, tenants="each", id="creator-weekly-digest", retry=STANDARD, tags=TAGS)
    async def creator_weekly_digest(tick: Tick) -> int:
        """Mail a recap of last week to each creator who earned something in it; says to how many."""
        return await recap(_last_monday(tick.scheduled_at.astimezone(UTC).date()))

    @group.task(on=WeeklyDigest, id="creator-weekly-digest-on-request", retry=STANDARD, tags=TAGS)
    async def creator_weekly_digest_on_request(event: WeeklyDigest) -> int:
        """Mail the recap to one creator, or to all who earned something."""
        return await recap(_last_monday(app.today()), event.creator_id)


def _last_monday(today: date) -> date:
    """The Monday of the week before."""
    return today - timedelta(days=today.weekday() + 7)
