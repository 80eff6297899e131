"""Telephone calls that assistants lead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgk_jobs import TaskGroup, Tick
from cgk_jobs.examples.commerce import agents
from cgk_jobs.examples.commerce.chosen_times import CHOSEN_TIMES
from cgk_jobs.examples.commerce.days import closed_days
from cgk_jobs.examples.commerce.people import setting
from cgk_jobs.examples.commerce.policies import DEFAULT, TWICE
from cgk_jobs.examples.commerce.simulation import simulated

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("voice",)
NINETY_DAYS = "90"


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()

    @group.cron(
        CHOSEN_TIMES["ai-agents-cleanup-old-recordings"],
        tenants="each",
        id="ai-agents-cleanup-old-recordings",
        retry=TWICE,
        tags=TAGS,
    )
    async def cleanup_recordings(tick: Tick) -> int:
        """Drop recordings past the tenant's retention: its setting ``recording_days``, ninety days by default."""
        with app.shops.current() as db:
            return agents.archive_recordings(db, app.now(), int(setting(db, "recording_days", NINETY_DAYS)))

    @group.cron(
        CHOSEN_TIMES["ai-agents-process-voice-usage"],
        tenants="each",
        id="ai-agents-process-voice-usage",
        retry=TWICE,
        tags=TAGS,
    )
    async def process_usage(tick: Tick) -> int:
        """Compute what the calls of the days since the last tick cost."""
        with app.shops.current() as db:
            return sum(agents.bill_voice(db, day) for day in closed_days(tick))

    for id, cron, purpose in (
        (
            "ai-agents-generate-call-summaries",
            "*/15 * * * *",
            "Summarise finished calls that lasted over thirty seconds",
        ),
        ("ai-agents-sync-retell-agents", "0 * * * *", "Keep voice agent settings equal to the provider's"),
    ):
        simulated(group.cron(cron, tenants="each", id=id, retry=DEFAULT, tags=("voice", "simulated")), purpose)
    return group
