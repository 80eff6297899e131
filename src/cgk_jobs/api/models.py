"""What the API takes: queries and bodies. Unknown fields are refused, so that a misspelt filter does not mean all runs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cgk_jobs.engine.states import State
from cgk_jobs.engine.states import State as RunState

__all__ = [
    "Bulk", "Empty", "EventToSend", "Limits", "Nothing", "Problem", "QuotaGiven", "RateGiven", "Replay", "RunAnswer", "RunCount",
    "RunPage", "RunQuery", "TenantQuery", "Ticks", "UsageQuery",
]  # fmt: skip

Name = Annotated[str, Field(min_length=1, max_length=255)]
Tenant = Annotated[
    str, Field(pattern=r"^[a-z0-9_][a-z0-9_-]{0,62}$", description="Whose; needed with a token for several.")
]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Nothing(_Given):
    """No query at all."""


class Empty(_Given):
    """No body, or an empty object."""


class TenantQuery(_Given):
    """Whose."""

    tenant_id: Tenant | None = None


class RunCount(TenantQuery):
    """The filters of ``jobs.runs.list`` that are counted by."""

    task: Name | None = None
    event: Name | None = None
    state: State | None = None
    tag: Name | None = None
    queue: Name | None = None
    since: AwareDatetime | None = Field(None, description="Created at or after; with an offset.")


class RunQuery(RunCount):
    """Which runs, and which page of them."""

    parent_id: Name | None = None
    cursor: Name | None = Field(None, description="next_cursor of the page before.")
    limit: int = Field(50, ge=1, le=1_000)


class Replay(_Given):
    """From where."""

    from_step: Name | None = None


class Bulk(_Given):
    """One action on several runs."""

    action: Literal["cancel", "retry", "replay"]
    run_ids: Annotated[list[Name], Field(min_length=1, max_length=500)]


class EventToSend(_Given):
    """An event by its name, with the options of ``jobs.send``."""

    event: Name
    payload: dict[str, Any]
    delay: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(None, description="Seconds.")
    at: AwareDatetime | None = None
    priority: Annotated[int, Field(ge=0, le=100)] | None = None
    expires: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(None, description="Seconds.")
    tags: Annotated[list[Name], Field(max_length=50)] = []


class Ticks(_Given):
    """How many moments, in which zone."""

    count: int = Field(5, ge=1, le=100)
    timezone: Name | None = None


class UsageQuery(_Given):
    """Which periods."""

    by: Literal["hour", "day"] = "day"
    periods: int = Field(7, ge=1, le=1_000)


class RateGiven(_Given):
    """At most ``n`` starts in ``seconds``."""

    n: int = Field(ge=1)
    seconds: float = Field(1.0, gt=0, allow_inf_nan=False)


class QuotaGiven(_Given):
    """As ``cgk_jobs.Quota``."""

    soft: int | None = None
    hard: int | None = None
    seconds: float | None = Field(None, gt=0, allow_inf_nan=False)


class Limits(_Given):
    """What is left out stays; ``null`` lifts it."""

    weight: Annotated[float, Field(allow_inf_nan=False)] | None = None
    concurrency: int | None = None
    rate: RateGiven | None = None
    queued: QuotaGiven | None = None
    payload_bytes: QuotaGiven | None = None
    sends: QuotaGiven | None = None


class RunAnswer(BaseModel):
    """A run. ``payload``, ``result`` and the results of steps need the action ``payload``."""

    id: str
    tenant_id: str
    task: str
    event: str | None
    event_id: str
    state: RunState
    queue: str
    priority: int
    attempt: int
    error: str | None
    progress: Any
    metadata: dict[str, Any]
    events: int
    tags: list[str]
    created_at: datetime
    due_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    held_by: str | None
    parent_id: str | None
    replay_of: str | None
    undoing: str | None


class RunPage(BaseModel):
    """Runs, newest first."""

    runs: list[RunAnswer]
    next_cursor: str | None


class Problem(BaseModel):
    """What is wrong and what to do: RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
