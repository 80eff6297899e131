"""What assistants and writers know about the brand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgk_jobs import Latest, TaskGroup, Tick
from cgk_jobs.events.catalogue.brand_context import (
    BrandContextCleanup,
    BrandContextProcessDocument,
    BrandContextRefreshEmbeddings,
)
from cgk_jobs.examples.commerce.days import DAY, HOUR
from cgk_jobs.examples.commerce.policies import DEFAULT, STANDARD, VENDOR
from cgk_jobs.examples.commerce.simulation import simulated

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("brand-context",)
SIMULATED = ("brand-context", "simulated")
CACHE_HOURS = 24
STALE_DAYS = 90


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    _upkeep(group, app)
    _documents(group)
    return group


def _upkeep(group: TaskGroup, app: Commerce) -> None:
    def forget_cached(hours: int) -> int:
        with app.shops.current() as db:
            return db.execute("DELETE FROM brand_cache WHERE stored_at < ?", (app.now() - hours * HOUR,)).rowcount

    @group.cron("0 */6 * * *", tenants="each", id="cleanup-brand-context-cache", retry=STANDARD, tags=TAGS)
    async def cleanup_cache(tick: Tick) -> int:
        """Remove cache entries older than a day."""
        return forget_cached(CACHE_HOURS)

    @group.task(on=BrandContextCleanup, id="cleanup-brand-context-cache-on-request", retry=STANDARD, tags=TAGS)
    async def cleanup_cache_on_request(event: BrandContextCleanup) -> int:
        """Remove cache entries older than ``max_age_hours``."""
        return forget_cached(CACHE_HOURS if event.max_age_hours is None else event.max_age_hours)

    @group.cron("0 9 * * 1", tenants="each", id="detect-stale-brand-content", retry=STANDARD, tags=TAGS)
    async def detect_stale(tick: Tick) -> int:
        """Flag material untouched for ninety days; says how much was not flagged yet."""
        with app.shops.current() as db:
            return db.execute(
                "UPDATE brand_documents SET stale = 1 WHERE stale = 0 AND touched_at < ?",
                (app.now() - STALE_DAYS * DAY,),
            ).rowcount


def _documents(group: TaskGroup) -> None:
    simulated(
        group.task(
            on=BrandContextProcessDocument,
            id="process-brand-document",
            retry=DEFAULT,
            latest=Latest(by="document_id"),  # a document uploaded again replaces the one that is still being read
            tags=SIMULATED,
        ),
        "Split a brand document and embed its parts",
    )
    simulated(
        group.task(on=BrandContextRefreshEmbeddings, id="refresh-brand-embeddings", retry=STANDARD, tags=SIMULATED),
        "Embed up to fifty pieces of text again",
    )
    simulated(
        group.cron("0 2 * * *", tenants="each", id="sync-url-brand-content", retry=VENDOR, tags=SIMULATED),
        "Fetch the web pages again that documents came from",
    )
