"""The shopping feed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgk_jobs import Context, Debounce, Retry, TaskGroup, Tick, Unique
from cgk_jobs.events.catalogue.google_feed import (
    GoogleFeedImageOptimize,
    GoogleFeedProductUpdate,
    GoogleFeedSync,
)
from cgk_jobs.examples.commerce.chosen_times import CHOSEN_TIMES
from cgk_jobs.examples.commerce.days import HOUR
from cgk_jobs.examples.commerce.people import setting
from cgk_jobs.examples.commerce.policies import AFTER_5_SECONDS, STANDARD
from cgk_jobs.examples.commerce.simulation import simulated

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("google-feed",)
SIMULATED = ("google-feed", "simulated")
EVERY_24_HOURS = "24"


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()

    @group.cron(
        CHOSEN_TIMES["google-feed-scheduled-sync"],
        tenants="each",
        id="google-feed-scheduled-sync",
        retry=AFTER_5_SECONDS,
        tags=TAGS,
    )
    async def scheduled_sync(tick: Tick, ctx: Context) -> bool:
        """Ask for a rebuild once the tenant's interval is over: its setting ``google_feed_hours``, a day by default."""
        with app.shops.current() as db:
            hours = int(setting(db, "google_feed_hours", EVERY_24_HOURS))
            last = db.execute("SELECT max(asked_at) FROM feed_rebuilds").fetchone()[0]
        if last is not None and app.now() - last < hours * HOUR:
            return False
        await ctx.send(
            GoogleFeedSync(tenant_id=ctx.tenant_id, full_sync=True, triggered_by="schedule"),
            key=f"feed:{tick.scheduled_at:%Y-%m-%dT%H:%M}",
        )
        with app.shops.current() as db:
            db.execute("DELETE FROM feed_rebuilds")
            db.execute("INSERT INTO feed_rebuilds (asked_at) VALUES (?)", (app.now(),))
        return True

    # Whoever asks while a rebuild waits is served by it; one that has begun may have read what was before.
    simulated(
        group.task(
            on=GoogleFeedSync,
            id="google-feed-sync",
            retry=STANDARD,
            unique=Unique(while_="queued"),
            tags=SIMULATED,
        ),
        "Rebuild the whole shopping feed",
    )
    simulated(
        group.task(
            on=GoogleFeedProductUpdate,
            id="google-feed-product-update",
            # An editor saves a product many times; the feed takes the last.
            debounce=Debounce(5, by=("product_id", "variant_id"), max_wait=60),
            retry=Retry(max_attempts=5, initial=1),
            tags=SIMULATED,
        ),
        "Update or remove one product in the feed",
    )
    simulated(
        group.task(
            on=GoogleFeedImageOptimize,
            id="google-feed-image-optimize",
            retry=Retry(max_attempts=3, backoff="fixed", initial=2),
            tags=SIMULATED,
        ),
        "Make a product image fit what the feed demands",
    )
    return group
