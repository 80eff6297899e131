"""Customer surveys."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cgk_jobs.events.event import Event

__all__ = ["SurveyDigest", "SurveyLowNps", "SurveyResponseSubmitted"]


class SurveyResponseSubmitted(Event, name="survey.response_submitted"):
    """A survey was answered."""

    response_id: str
    survey_id: str
    customer_id: str | None = None
    order_id: str | None = None


class SurveyDigest(Event, name="survey.digest"):
    """Send the survey overview of a period."""

    frequency: Literal["daily", "weekly"]


class SurveyLowNps(Event, name="survey.low_nps"):
    """A respondent gave a very low score."""

    response_id: str
    survey_id: str
    nps_score: Annotated[int, Field(ge=0, le=10, description="Net promoter score of one answer, 0 to 10.")]
    customer_id: str | None = None
