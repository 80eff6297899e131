"""The tasks, a module per category of the inventory.

A task that both a schedule and an event start is declared twice, since a schedule hands its task a tick: under its own id
with the schedule, and as ``<id>-on-request`` for the event, with the same retries, tags and limits.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cgk_jobs import TaskGroup
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["CATEGORIES"]

_NAMES = (
    "ab-testing", "ad-platforms", "ai-agents", "alerts", "analytics", "attribution", "brand-context", "commerce",
    "compliance", "creator-communications", "creators", "dam", "digests", "esign", "gift-cards", "google-feed",
    "integrations", "monitoring", "payouts", "platform", "recovery", "reviews", "segments", "seo", "sms", "subscriptions",
    "surveys", "treasury", "video", "voice", "webhooks", "workflows",
)  # fmt: skip


def _module(name: str) -> str:
    return f"{__name__}.{name.replace('-', '_')}"


CATEGORIES: dict[str, Callable[[Commerce], TaskGroup]] = {
    name: import_module(_module(name)).tasks for name in _NAMES if find_spec(_module(name))
}
