"""Product reviews and the mails that ask for them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from cgk_jobs.events.event import Event
from cgk_jobs.events.fields import Ordinal

__all__ = [
    "ReviewEmailQueued",
    "ReviewEmailSent",
    "ReviewModerated",
    "ReviewReminderScheduled",
    "ReviewSubmitted",
]


class ReviewSubmitted(Event, name="review.submitted"):
    """A customer left a review."""

    review_id: str
    order_id: str | None = None
    customer_id: str | None = None
    rating: Annotated[int, Field(ge=1, le=5, description="Stars, 1 (worst) to 5 (best).")]


class ReviewModerated(Event, name="review.moderated"):
    """A moderator decided about a review.

    ``reviewer_name`` and ``product_title`` must be given and are ``None`` where unknown: the mail that follows needs them.
    """

    review_id: str
    action: Literal["approve", "reject", "spam"]
    reviewer_email: str
    reviewer_name: str | None
    product_title: str | None


class ReviewEmailQueued(Event, name="review.email.queued"):
    """A review request entered the queue; without ``scheduled_for`` it may leave at once."""

    review_email_id: str
    order_id: str
    customer_id: str
    template_id: str
    scheduled_for: datetime | None = None


class ReviewEmailSent(Event, name="review.email.sent"):
    """A review request left. ``message_id`` is the mail service's."""

    review_email_id: str
    message_id: str | None = None


class ReviewReminderScheduled(Event, name="review.reminder.scheduled"):
    """A follow-up review request was planned."""

    order_id: str
    reminder_number: Ordinal
