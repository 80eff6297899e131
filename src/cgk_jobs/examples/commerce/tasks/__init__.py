"""The tasks, a module per category of the inventory.

A task that both a schedule and an event start is declared twice, since a schedule hands its task a tick: under its own id
with the schedule, and as ``<id>-on-request`` for the event, with the same retries, tags and limits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cgk_jobs.examples.commerce.tasks import (
    ab_testing,
    ad_platforms,
    ai_agents,
    alerts,
    analytics,
    attribution,
    brand_context,
    commerce,
    compliance,
    creator_communications,
    creators,
    dam,
    digests,
    esign,
    gift_cards,
    google_feed,
    integrations,
    monitoring,
    payouts,
    platform,
    recovery,
    reviews,
    segments,
    seo,
    sms,
    subscriptions,
    surveys,
    treasury,
    video,
    voice,
    webhooks,
    workflows,
)

if TYPE_CHECKING:
    from cgk_jobs import TaskGroup
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["CATEGORIES"]

CATEGORIES: dict[str, Callable[[Commerce], TaskGroup]] = {
    "commerce": commerce.tasks,
    "attribution": attribution.tasks,
    "ab-testing": ab_testing.tasks,
    "analytics": analytics.tasks,
    "reviews": reviews.tasks,
    "surveys": surveys.tasks,
    "segments": segments.tasks,
    "digests": digests.tasks,
    "subscriptions": subscriptions.tasks,
    "gift-cards": gift_cards.tasks,
    "recovery": recovery.tasks,
    "sms": sms.tasks,
    "creators": creators.tasks,
    "creator-communications": creator_communications.tasks,
    "payouts": payouts.tasks,
    "treasury": treasury.tasks,
    "esign": esign.tasks,
    "compliance": compliance.tasks,
    "dam": dam.tasks,
    "video": video.tasks,
    "voice": voice.tasks,
    "ai-agents": ai_agents.tasks,
    "brand-context": brand_context.tasks,
    "ad-platforms": ad_platforms.tasks,
    "google-feed": google_feed.tasks,
    "seo": seo.tasks,
    "integrations": integrations.tasks,
    "webhooks": webhooks.tasks,
    "workflows": workflows.tasks,
    "alerts": alerts.tasks,
    "monitoring": monitoring.tasks,
    "platform": platform.tasks,
}
"""The tasks of each category, in the order in which a reader may want to meet them."""
