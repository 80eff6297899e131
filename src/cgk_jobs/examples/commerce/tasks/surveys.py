"""Customer surveys: answers, attribution by what customers say, alerts and overviews."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

from cgk_jobs import Context, Event, Retry, TaskGroup, Tick
from cgk_jobs.events.catalogue.surveys import SurveyDigest, SurveyLowNps, SurveyResponseSubmitted
from cgk_jobs.examples.commerce import survey_answers
from cgk_jobs.examples.commerce.alerting import raise_alert
from cgk_jobs.examples.commerce.days import span
from cgk_jobs.examples.commerce.policies import AFTER_30_SECONDS, DEFAULT, FROM_5_SECONDS

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("surveys",)
FROM_2_SECONDS = Retry(max_attempts=3, initial=2)
DAYS = {"daily": 1, "weekly": 7}


class OneResponse(Event):
    """A survey that was answered."""

    response_id: str


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    _answers(group, app)
    _overviews(group, app)
    return group


def _answers(group: TaskGroup, app: Commerce) -> None:
    @group.task(on=SurveyResponseSubmitted, id="survey-process-response", retry=FROM_2_SECONDS, tags=TAGS)
    async def process_response(event: SurveyResponseSubmitted, ctx: Context) -> None:
        """Read score and channel out of the answers, credit the channel, and report an unhappy customer."""
        with app.shops.current() as db:
            answer = survey_answers.enter(db, event.response_id, event.survey_id, event.order_id, now=app.now())
            survey_answers.credit_channel(db, event.response_id)
        if answer.score is not None and answer.score <= survey_answers.DETRACTOR:
            await ctx.send(
                SurveyLowNps(
                    tenant_id=ctx.tenant_id,
                    response_id=event.response_id,
                    survey_id=event.survey_id,
                    nps_score=answer.score,
                    customer_id=event.customer_id,
                ),
                key=f"low-nps:{event.response_id}",
            )

    @group.task(id="survey-sync-attribution", retry=FROM_5_SECONDS, tags=TAGS)
    async def sync_attribution(response: OneResponse) -> str | None:
        """Credit the order to the channel its customer named, in the model ``survey``; the channel, if there is one."""
        with app.shops.current() as db:
            return survey_answers.credit_channel(db, response.response_id)

    @group.task(id="survey-slack-notification", retry=FROM_5_SECONDS, tags=TAGS)
    async def slack_notification(response: OneResponse, ctx: Context) -> bool:
        """Tell the team about an answer, once; false if there is no such answer."""
        with app.shops.current() as db:
            row = db.execute(
                "SELECT score, channel FROM survey_answers WHERE response_id = ?", (response.response_id,)
            ).fetchone()
        if row is None:
            return False
        score, channel = row
        text = f"Survey answered: score {'none' if score is None else score}, channel {channel or 'none'}"
        await app.chat.post(ctx.tenant_id, f"survey:{response.response_id}", "#surveys", text)
        return True

    @group.task(on=SurveyLowNps, id="survey-low-nps-alert", retry=FROM_5_SECONDS, tags=TAGS)
    async def low_nps_alert(event: SurveyLowNps) -> bool:
        """Warn about an unhappy customer; false if that was done before."""
        who = event.customer_id or "an unknown customer"
        return await raise_alert(
            app, f"low-nps:{event.response_id}", "warning", "Unhappy customer", f"{who} gave {event.nps_score}"
        )


def _overviews(group: TaskGroup, app: Commerce) -> None:
    async def ask_for(frequency: Literal["daily", "weekly"], tick: Tick, ctx: Context) -> None:
        await ctx.send(
            SurveyDigest(tenant_id=ctx.tenant_id, frequency=frequency),
            key=f"survey-digest:{frequency}:{tick.scheduled_at.date()}",
        )

    @group.task(on=SurveyDigest, id="survey-slack-digest", retry=AFTER_30_SECONDS, tags=TAGS)
    async def slack_digest(event: SurveyDigest, ctx: Context) -> bool:
        """Post the overview of yesterday, or of the last seven days; false if nobody answered."""
        # A step: a retry after midnight reports the same days.
        day = await ctx.step("day", lambda: app.today().toordinal())
        today = date.fromordinal(day)
        start, end = span(today - timedelta(days=DAYS[event.frequency]), today - timedelta(days=1))
        with app.shops.current() as db:
            text = survey_answers.overview(db, start, end)
        if not text:
            return False
        await app.chat.post(ctx.tenant_id, f"surveys-{event.frequency}:{today}", "#surveys", text)
        return True

    @group.cron("0 9 * * *", tenants="each", id="survey-daily-digest", retry=DEFAULT, tags=TAGS)
    async def daily_digest(tick: Tick, ctx: Context) -> None:
        """Ask for the overview of the day."""
        await ask_for("daily", tick, ctx)

    @group.cron("0 9 * * 1", tenants="each", id="survey-weekly-digest", retry=DEFAULT, tags=TAGS)
    async def weekly_digest(tick: Tick, ctx: Context) -> None:
        """Ask for the overview of the week."""
        await ask_for("weekly", tick, ctx)
