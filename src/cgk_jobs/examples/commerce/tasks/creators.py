"""Creators: applications, projects, parcels, and what they earn."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from cgk_jobs import Context, Retry, TaskGroup, Tick
from cgk_jobs.events.catalogue.commerce import OrderFulfilled
from cgk_jobs.events.catalogue.creators import CreatorApplied, CreatorApproved, CreatorRejected, CreatorShipmentSync
from cgk_jobs.examples.commerce import applications, creator_figures, creator_mails, projects
from cgk_jobs.examples.commerce.creator_payloads import Applicant, ApplicationStep, OneCreator, Rejection
from cgk_jobs.examples.commerce.days import closed_days
from cgk_jobs.examples.commerce.outbox import send_mail
from cgk_jobs.examples.commerce.policies import DEFAULT, FROM_5_SECONDS, MONEY, STANDARD
from cgk_jobs.examples.commerce.vendors_carriers import Carrier, CarrierDouble

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("creators",)

FIGURES = MONEY
"""Figures of a whole day or month wait as long between attempts as payments do."""
FROM_10_SECONDS = Retry(max_attempts=3, initial=10)


def tasks(app: Commerce, carrier: Carrier | None = None) -> TaskGroup:
    """The tasks of this category. ``carrier``: a double that knows no parcel, where none is given."""
    group = TaskGroup()
    _applications(group, app)
    _decisions(group, app)
    _projects(group, app, carrier or CarrierDouble())
    _onboarding(group, app)
    _figures(group, app)
    return group


def _applications(group: TaskGroup, app: Commerce) -> None:
    async def announce(creator_id: str, email: str, ctx: Context) -> None:
        await app.chat.post(ctx.tenant_id, f"applied:{creator_id}", "#creators", f"New application: {email}")

    @group.task(on=CreatorApplied, id="creator-on-applied", retry=STANDARD, tags=TAGS)
    async def on_applied(event: CreatorApplied, ctx: Context) -> None:
        """Take an application in and tell the team."""
        with app.shops.current() as db:
            applications.submit(db, event.application_id, event.creator_id, event.email, app.now())
        await announce(event.creator_id, event.email, ctx)

    @group.task(id="creator-process-application", retry=STANDARD, tags=TAGS)
    async def process_application(applicant: Applicant) -> bool:
        """Take an application in again; says whether it was unknown."""
        with app.shops.current() as db:
            return applications.submit(db, applicant.application_id, applicant.creator_id, applicant.email, app.now())

    @group.task(id="creator-notify-admin-new-application", retry=STANDARD, tags=TAGS)
    async def notify_admin(applicant: Applicant, ctx: Context) -> None:
        """Tell the team about an applicant, once."""
        await announce(applicant.creator_id, applicant.email, ctx)

    @group.task(id="creator-track-application-analytics", retry=STANDARD, tags=TAGS)
    async def track_application(reached: ApplicationStep) -> bool:
        """Note when a step of the application form was first reached."""
        with app.shops.current() as db:
            return applications.note_step(db, reached.creator_id, reached.step, app.now())

    @group.task(id="creator-create-pipeline-entry", retry=STANDARD, tags=TAGS)
    async def create_pipeline_entry(creator: OneCreator) -> bool:
        """Put an applicant into the recruiting pipeline."""
        with app.shops.current() as db:
            return applications.enter_pipeline(db, creator.creator_id, app.now())


def _decisions(group: TaskGroup, app: Commerce) -> None:
    def approve(creator_id: str) -> bool:
        with app.shops.current() as db:
            return applications.approve(db, creator_id, app.now())

    def reject(creator_id: str) -> bool:
        with app.shops.current() as db:
            return applications.reject(db, creator_id, app.now())

    async def send_notice(creator_id: str, state: str) -> bool:
        # The decision planned the notice. A creator entered by hand has none yet.
        with app.shops.current() as db:
            creator_mails.queue_for_creator(db, f"{state}:{creator_id}", creator_id, f"application-{state}", app.now())
        return await send_mail(app, f"{state}:{creator_id}")

    @group.task(on=CreatorApproved, id="creator-on-approved", retry=STANDARD, tags=TAGS)
    async def on_approved(event: CreatorApproved) -> bool:
        """Accept the applicant: the notice and the welcome series are planned."""
        return approve(event.creator_id)

    @group.task(on=CreatorRejected, id="creator-on-rejected", retry=STANDARD, tags=TAGS)
    async def on_rejected(event: CreatorRejected) -> bool:
        """Refuse the applicant: planned mails are withdrawn, the notice is planned."""
        return reject(event.creator_id)

    @group.task(id="creator-process-approval", retry=STANDARD, tags=TAGS)
    async def process_approval(creator: OneCreator) -> bool:
        """Accept an applicant; false if that was decided before."""
        return approve(creator.creator_id)

    @group.task(id="creator-process-rejection", retry=STANDARD, tags=TAGS)
    async def process_rejection(rejection: Rejection) -> bool:
        """Refuse an applicant; false if that was decided before."""
        return reject(rejection.creator_id)

    @group.task(id="creator-send-approval-email", retry=STANDARD, tags=TAGS)
    async def send_approval_email(creator: OneCreator) -> bool:
        """Send the acceptance notice now, once; false if it left before."""
        return await send_notice(creator.creator_id, "approved")

    @group.task(id="creator-send-rejection-email", retry=STANDARD, tags=TAGS)
    async def send_rejection_email(creator: OneCreator) -> bool:
        """Send the refusal notice now, once; false if it left before."""
        return await send_notice(creator.creator_id, "rejected")


def _projects(group: TaskGroup, app: Commerce, carrier: Carrier) -> None:
    @group.cron("0 * * * *", tenants="each", id="sync-creator-shipments", retry=DEFAULT, tags=TAGS)
    async def sync_shipments(tick: Tick) -> int:
        """Ask the carrier about the products on their way to creators."""
        return await projects.track_parcels(app, carrier, "product")

    @group.task(on=CreatorShipmentSync, id="sync-creator-shipments-on-request", retry=DEFAULT, tags=TAGS)
    async def sync_shipments_on_request(event: CreatorShipmentSync) -> int:
        """Ask the carrier about one parcel, or all on their way. ``full_sync`` adds nothing: what arrived has arrived."""
        return await projects.track_parcels(app, carrier, "product", event.shipment_id)

    @group.cron("0 */4 * * *", tenants="each", id="check-sample-deliveries", retry=FROM_5_SECONDS, tags=TAGS)
    async def check_samples(tick: Tick) -> int:
        """Ask the carrier whether samples have arrived."""
        return await projects.track_parcels(app, carrier, "sample")

    @group.cron("0 */4 * * *", tenants="each", id="project-automation", retry=STANDARD, tags=TAGS)
    async def project_automation(tick: Tick, ctx: Context) -> int:
        """Move projects on by what happened to their parcels and deadlines."""
        return await projects.advance(app, ctx, tick.scheduled_at.astimezone(UTC).date())

    @group.task(on=OrderFulfilled, id="project-linking", retry=DEFAULT, tags=TAGS)
    async def project_linking(event: OrderFulfilled) -> bool:
        """Connect a shipment to the project whose order it carries."""
        with app.shops.current() as db:
            return projects.link_shipment(db, event.order_id, event.fulfillment_id, event.tracking_number, app.now())

    @group.cron("0 */2 * * *", tenants="each", id="escalations", retry=STANDARD, tags=TAGS)
    async def escalations(tick: Tick) -> int:
        """Raise projects long overdue and payouts that failed, each once."""
        return await projects.escalate(app)


def _onboarding(group: TaskGroup, app: Commerce) -> None:
    @group.cron("0 10,16 * * *", tenants="each", id="onboarding-automation", retry=STANDARD, tags=TAGS)
    async def onboarding_automation(tick: Tick) -> int:
        """Nudge creators who have logged in and not gone on for two days; once in four days."""
        with app.shops.current() as db:
            return creator_mails.remind_stalled(db, app.now(), "setup-nudge", after=2, every=4)

    @group.cron("0 10 * * *", tenants="each", id="send-onboarding-reminders", retry=FROM_10_SECONDS, tags=TAGS)
    async def onboarding_reminders(tick: Tick) -> int:
        """Write to creators stuck for five days which step is missing; once a week."""
        with app.shops.current() as db:
            return creator_mails.remind_stalled(db, app.now(), "setup-step", after=5, every=7)


def _figures(group: TaskGroup, app: Commerce) -> None:
    @group.cron("0 3 * * *", tenants="each", id="creator-aggregate-daily-metrics", retry=FIGURES, tags=TAGS)
    async def daily_metrics(tick: Tick) -> int:
        """Count each creator's orders, earnings and mails of the days since the last tick."""
        with app.shops.current() as db:
            return sum(creator_figures.count_day(db, day) for day in closed_days(tick))

    @group.cron("0 6 * * 0", tenants="each", id="creator-generate-weekly-summary", retry=FIGURES, tags=TAGS)
    async def weekly_summary(tick: Tick) -> bool:
        """Sum the last seven days up and name creators who stopped earning."""
        with app.shops.current() as db:
            return creator_figures.sum_week_up(db, tick.scheduled_at.astimezone(UTC).date())

    @group.cron("0 4 1 * *", tenants="each", id="creator-generate-monthly-report", retry=FIGURES, tags=TAGS)
    async def monthly_report(tick: Tick) -> bool:
        """Report the month that ended: applicants by stage, earnings, creators who left off."""
        last_day = tick.scheduled_at.astimezone(UTC).date() - timedelta(days=1)
        with app.shops.current() as db:
            return creator_figures.report_month(db, last_day.replace(day=1))
