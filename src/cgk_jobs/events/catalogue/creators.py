"""Creators: applications, messages, deliveries, and the projects they work on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cgk_jobs.events.event import Event
from cgk_jobs.events.fields import Bytes, JsonObject

__all__ = [
    "CreatorApplied",
    "CreatorApprovalReminders",
    "CreatorApproved",
    "CreatorBulkSendStarted",
    "CreatorEmailQueued",
    "CreatorFileUploaded",
    "CreatorRejected",
    "CreatorReminder",
    "CreatorSetupCompleted",
    "CreatorShipmentSync",
    "CreatorSlackNotification",
    "CreatorWelcomeCallReminders",
    "ProjectCreated",
    "ProjectDeadlineApproaching",
    "ProjectStatusChanged",
]


class CreatorApplied(Event, name="creator.applied"):
    """Someone applied to become a creator."""

    creator_id: str
    application_id: str
    email: str


class CreatorApproved(Event, name="creator.approved"):
    """An applicant was accepted. ``approved_by`` is the member of the team who did so."""

    creator_id: str
    approved_by: str | None = None


class CreatorRejected(Event, name="creator.rejected"):
    """An applicant was refused."""

    creator_id: str
    reason: str | None = None


class CreatorSetupCompleted(Event, name="creator.setup_completed"):
    """A creator finished setting up the account."""

    creator_id: str


class CreatorEmailQueued(Event, name="creator.email.queued"):
    """A mail for a creator was queued."""

    email_id: str
    creator_id: str
    template_id: str
    priority: Literal["high", "normal", "low"] | None = None


class CreatorBulkSendStarted(Event, name="creator.bulk_send_started"):
    """A mailing to many creators begins."""

    bulk_send_id: str


class CreatorReminder(Event, name="creator.reminder"):
    """Send a reminder to one creator."""

    creator_id: str
    project_id: str | None = None
    reminder_type: Literal["delivery", "deadline", "no_response", "abandoned"]


class CreatorApprovalReminders(Event, name="creator.approval_reminders"):
    """Run the reminder round for accepted creators who never logged in."""


class CreatorWelcomeCallReminders(Event, name="creator.welcome_call_reminders"):
    """Run the reminder round for creators who have not booked their introductory call."""


class CreatorFileUploaded(Event, name="creator.file.uploaded"):
    """A creator delivered a file for a project."""

    file_id: str
    creator_id: str
    project_id: str
    file_type: Literal["video", "image", "document"]
    file_size: Bytes


class CreatorSlackNotification(Event, name="creator.slack_notification"):
    """Announce a creator's milestone to the team."""

    notification_type: Literal[
        "application_received",
        "application_approved",
        "welcome_call_booked",
        "escalation",
        "product_shipped",
        "product_received",
        "contract_sent",
        "contract_signed",
        "content_submitted",
        "content_revisions_requested",
    ]
    creator_id: str
    creator_name: str
    creator_email: str
    metadata: JsonObject | None = None


class CreatorShipmentSync(Event, name="creator.shipment_sync"):
    """Refresh the tracking of one parcel to a creator or, without ``shipment_id``, of all that are under way.

    ``full_sync`` takes in those already delivered.
    """

    shipment_id: str | None = None
    full_sync: bool | None = None


class ProjectCreated(Event, name="project.created"):
    """A creator's project was opened. ``type`` is the application's own kind of project."""

    project_id: str
    creator_id: str
    type: str


class ProjectStatusChanged(Event, name="project.status_changed"):
    """A project moved to another state of the application's own workflow."""

    project_id: str
    old_status: str
    new_status: str


class ProjectDeadlineApproaching(Event, name="project.deadline_approaching"):
    """A project's deadline is near."""

    project_id: str
    days_remaining: Annotated[int, Field(description="Days until the deadline; negative once it has passed.")]
