"""Alerts: each is posted and kept once an hour for its subject, however often it is reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cgk_jobs import Event, TaskGroup, Throttle
from cgk_jobs.examples.commerce import alerting
from cgk_jobs.examples.commerce.alerting import Severity
from cgk_jobs.examples.commerce.policies import SWIFT, TEXT_RATES_PER_RECIPIENT, URGENT

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["severity_of", "tasks"]

TAGS = ("alerts",)
HIGH_VALUE_CENTS = 50_000
ONCE_AN_HOUR = Throttle(1, 3600, by="figure")
MONEY_COMPONENTS = ("billing", "payouts", "treasury")


class Page(Event):
    """An incident, and whom to wake. One person a payload: the limits on text messages are per recipient."""

    incident_id: str
    recipient: str
    title: str
    message: str


class ErrorReport(Event):
    """An error of the application. ``occurrences``: how often it was seen within the hour."""

    error: str
    component: str
    message: str
    occurrences: int = 1


class Submission(Event):
    """Something a creator handed in. ``value_cents``: what it is worth."""

    submission_id: str
    creator_id: str
    value_cents: int
    currency: Literal["USD"] = "USD"


class Complaint(Event):
    """A creator complains."""

    complaint_id: str
    creator_id: str
    message: str


class SecurityIncident(Event):
    """A suspicious sign-in, or a key that leaked."""

    kind: Literal["suspicious_sign_in", "leaked_key"]
    subject: str
    message: str


class ServiceFailure(Event):
    """A service outside keeps failing."""

    service: str
    failures: int
    message: str


class UnusualActivity(Event):
    """A figure far from what is normal."""

    figure: str
    value: int
    usual: int


class Milestone(Event):
    """A target that was reached."""

    target: str
    value: str


def severity_of(report: ErrorReport) -> Severity:
    """Errors where money moves are critical, and so is any error seen a hundred times in an hour; rare ones are warnings."""
    if report.component in MONEY_COMPONENTS or report.occurrences >= 100:
        return "critical"
    return "error" if report.occurrences >= 10 else "warning"


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    _urgent(group, app)
    _operations(group, app)
    _business(group, app)
    return group


def _urgent(group: TaskGroup, app: Commerce) -> None:
    @group.task(id="critical-alert", retry=URGENT, rate=TEXT_RATES_PER_RECIPIENT, tags=TAGS)
    async def critical_alert(incident: Page) -> bool:
        """Post the incident, once, and text the person on call; says whether the person was texted."""
        await alerting.raise_alert(
            app, f"incident:{incident.incident_id}", "critical", incident.title, incident.message
        )
        return await alerting.page(app, incident.incident_id, incident.recipient, incident.title)

    @group.task(id="security-alert", retry=URGENT, tags=TAGS)
    async def security_alert(incident: SecurityIncident) -> bool:
        """Warn about a suspicious sign-in or a leaked key."""
        alert_id = alerting.hourly(incident.kind, incident.subject, app.now())
        return await alerting.raise_alert(app, alert_id, "critical", incident.kind.replace("_", " "), incident.message)


def _operations(group: TaskGroup, app: Commerce) -> None:
    @group.task(id="system-error-alert", retry=SWIFT, tags=TAGS)
    async def system_error_alert(report: ErrorReport) -> bool:
        """Raise an error as severely as its component and its frequency ask for."""
        alert_id = alerting.hourly("error", f"{report.component}:{report.error}", app.now())
        return await alerting.raise_alert(
            app, alert_id, severity_of(report), f"{report.error} in {report.component}", report.message
        )

    @group.task(id="api-failure-alert", retry=SWIFT, tags=TAGS)
    async def api_failure_alert(failure: ServiceFailure) -> bool:
        """Warn that a service outside keeps failing."""
        alert_id = alerting.hourly("service", failure.service, app.now())
        title = f"{failure.service} failed {failure.failures} times"
        return await alerting.raise_alert(app, alert_id, "error", title, failure.message)

    @group.task(id="unusual-activity-alert", retry=SWIFT, throttle=ONCE_AN_HOUR, tags=TAGS)
    async def unusual_activity_alert(activity: UnusualActivity) -> bool:
        """Warn about a volume far from normal. Whatever measures it may report it every minute: one report an hour is taken."""
        alert_id = alerting.hourly("unusual", activity.figure, app.now())
        message = f"{activity.value} instead of about {activity.usual}"
        return await alerting.raise_alert(app, alert_id, "warning", f"Unusual: {activity.figure}", message)


def _business(group: TaskGroup, app: Commerce) -> None:
    @group.task(id="high-value-submission-alert", retry=SWIFT, tags=TAGS)
    async def high_value_submission_alert(submission: Submission) -> bool:
        """Flag a submission worth 500 dollars or more; smaller ones pass."""
        if submission.value_cents < HIGH_VALUE_CENTS:
            return False
        worth = f"worth {submission.value_cents // 100}.{submission.value_cents % 100:02} {submission.currency}"
        alert_id = f"submission:{submission.submission_id}"
        return await alerting.raise_alert(app, alert_id, "info", f"Submission by {submission.creator_id}", worth)

    @group.task(id="creator-complaint-alert", retry=SWIFT, tags=TAGS)
    async def creator_complaint_alert(complaint: Complaint) -> bool:
        """Escalate an urgent complaint of a creator."""
        alert_id = f"complaint:{complaint.complaint_id}"
        return await alerting.raise_alert(
            app, alert_id, "error", f"Complaint of {complaint.creator_id}", complaint.message
        )

    @group.task(id="milestone-alert", retry=SWIFT, tags=TAGS)
    async def milestone_alert(milestone: Milestone) -> bool:
        """Celebrate a target, the first time it is reached."""
        alert_id = f"milestone:{milestone.target}"
        return await alerting.raise_alert(app, alert_id, "info", f"Reached: {milestone.target}", milestone.value)
