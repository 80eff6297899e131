"""Assistants: what they remember, did and wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgk_jobs import TaskGroup, Tick
from cgk_jobs.examples.commerce import agents
from cgk_jobs.examples.commerce.chosen_times import CHOSEN_TIMES
from cgk_jobs.examples.commerce.policies import DEFAULT, STANDARD, VENDOR
from cgk_jobs.examples.commerce.simulation import simulated

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("ai-agents",)
SIMULATED = ("ai-agents", "simulated")


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    _memory(group, app)
    _records(group, app)
    _sources(group)
    return group


def _memory(group: TaskGroup, app: Commerce) -> None:
    @group.cron("0 5 * * *", tenants="each", id="agent-memory-decay", retry=STANDARD, tags=TAGS)
    async def memory_decay(tick: Tick) -> int:
        """Lower the weight of memories unused for a week."""
        with app.shops.current() as db:
            return agents.decay_memories(db, tick.scheduled_at.date(), app.now())

    @group.cron("0 4 * * *", tenants="each", id="agent-context-prune", retry=STANDARD, tags=TAGS)
    async def context_prune(tick: Tick) -> int:
        """Trim each agent's context to its size limit."""
        with app.shops.current() as db:
            return agents.prune_context(db)

    @group.cron("0 0 * * *", tenants="each", id="ai-agents-decay-familiarity", retry=DEFAULT, tags=TAGS)
    async def decay_familiarity(tick: Tick) -> int:
        """Reduce the familiarity of members who rarely meet."""
        with app.shops.current() as db:
            return agents.decay_familiarity(db, tick.scheduled_at.date(), app.now())

    @group.cron(
        CHOSEN_TIMES["ai-agents-cleanup-low-confidence"],
        tenants="each",
        id="ai-agents-cleanup-low-confidence",
        retry=DEFAULT,
        tags=TAGS,
    )
    async def cleanup_low_confidence(tick: Tick) -> int:
        """Switch off the memories below 0.2 confidence."""
        with app.shops.current() as db:
            return agents.disable_doubtful(db)

    @group.cron("*/15 * * * *", tenants="each", id="ai-agents-process-feedback", retry=DEFAULT, tags=TAGS)
    async def process_feedback(tick: Tick) -> int:
        """Correct the confidence of memories by the feedback nobody read yet."""
        with app.shops.current() as db:
            return agents.learn(db)


def _records(group: TaskGroup, app: Commerce) -> None:
    @group.cron("0 * * * *", tenants="each", id="ai-agents-expire-approvals", retry=DEFAULT, tags=TAGS)
    async def expire_approvals(tick: Tick) -> int:
        """Expire approvals left pending for a day."""
        with app.shops.current() as db:
            return agents.expire_approvals(db, app.now())

    @group.cron("0 0 * * 0", tenants="each", id="ai-agents-cleanup-handoffs", retry=DEFAULT, tags=TAGS)
    async def cleanup_handoffs(tick: Tick) -> int:
        """Archive handoffs finished more than thirty days ago."""
        with app.shops.current() as db:
            return agents.archive_handoffs(db, app.now())

    @group.cron(
        CHOSEN_TIMES["ai-agents-cleanup-old-actions"],
        tenants="each",
        id="ai-agents-cleanup-old-actions",
        retry=DEFAULT,
        tags=TAGS,
    )
    async def cleanup_actions(tick: Tick) -> int:
        """Archive the records of old actions."""
        with app.shops.current() as db:
            return agents.archive_actions(db, app.now())

    @group.cron(
        CHOSEN_TIMES["ai-agents-cleanup-old-conversations"],
        tenants="each",
        id="ai-agents-cleanup-old-conversations",
        retry=DEFAULT,
        tags=TAGS,
    )
    async def cleanup_conversations(tick: Tick) -> int:
        """Archive conversations that went silent."""
        with app.shops.current() as db:
            return agents.archive_conversations(db, app.now())

    @group.cron("*/15 * * * *", tenants="each", id="ai-agents-sync-agent-stats", retry=DEFAULT, tags=TAGS)
    async def sync_stats(tick: Tick) -> int:
        """Refresh the usage figures of each agent that acted."""
        with app.shops.current() as db:
            return agents.refresh_stats(db)


def _sources(group: TaskGroup) -> None:
    for id, cron, retry, purpose in (
        ("bri-gmail-sync", "*/30 * * * *", VENDOR, "Read new mail as assistant context"),
        ("bri-slack-sync", "*/30 * * * *", VENDOR, "Read team chat as assistant context"),
        ("bri-meeting-sync", "0 * * * *", VENDOR, "Read calendar meetings as assistant context"),
        (
            "ai-agents-sync-org-chart",
            "0 * * * *",
            DEFAULT,
            "Align the organisation chart with the staff directory and the agents",
        ),
        ("ai-agents-sync-slack-users", "0 * * * *", DEFAULT, "Match Slack members with platform users"),
        ("ai-agents-embedding-backfill", "0 * * * *", DEFAULT, "Embed memories that still lack vectors"),
        (
            "ai-agents-renew-calendar-watch",
            CHOSEN_TIMES["ai-agents-renew-calendar-watch"],
            DEFAULT,
            "Renew calendar subscriptions before they lapse",
        ),
        (
            "ai-agents-memory-consolidation",
            CHOSEN_TIMES["ai-agents-memory-consolidation"],
            DEFAULT,
            "Merge memories that say the same",
        ),
    ):
        simulated(group.cron(cron, tenants="each", id=id, retry=retry, tags=SIMULATED), purpose)
    simulated(group.task(id="bri-data-process", retry=STANDARD, tags=SIMULATED), "Extract and embed one collected item")
    simulated(
        group.task(id="ai-agents-process-slack-event-queue", retry=DEFAULT, tags=SIMULATED),
        "Handle queued Slack events",
    )
