"""What the on-demand tasks about creators take."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from cgk_jobs import Event

__all__ = ["Applicant", "ApplicationStep", "CreatorMail", "OneCreator", "PaymentMail", "ProjectMail", "Rejection"]


class OneCreator(Event):
    """A creator."""

    creator_id: str


class Applicant(Event):
    """An application that was handed in."""

    application_id: str
    creator_id: str
    email: str


class ApplicationStep(Event):
    """A step of the application form that was reached."""

    creator_id: str
    step: Literal["opened", "profile", "channels", "submitted"]


class Rejection(Event):
    """A refusal and its reason."""

    creator_id: str
    reason: str | None = None


class CreatorMail(Event):
    """A message to a creator. ``message_id`` makes it one message however often it is asked for; at once without ``send_at``."""

    message_id: str
    creator_id: str
    template: str
    send_at: datetime | None = None


class ProjectMail(Event):
    """A message about a project; one per project and template."""

    project_id: str
    template: str
    send_at: datetime | None = None


class PaymentMail(Event):
    """A message about a payout; one per payout and template."""

    payout_id: str
    template: str
