"""Times of the schedules whose period is known and whose hour is not: "daily", "weekly on Sunday".

They are chosen here, away from the full hours at which most schedules fire and no two at the same minute, so that each can
be moved without asking what it was tuned to.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["CHOSEN_TIMES"]

CHOSEN_TIMES: Mapping[str, str] = MappingProxyType(
    {
        "ai-agents-cleanup-old-actions": "10 1 * * *",
        "ai-agents-renew-calendar-watch": "20 1 * * *",
        "ai-agents-cleanup-old-recordings": "40 1 * * *",
        "ai-agents-process-voice-usage": "50 1 * * *",
        "workflow-cleanup-execution-logs": "10 2 * * *",
        "ai-agents-cleanup-old-conversations": "20 2 * * 0",
        "ai-agents-memory-consolidation": "40 2 * * 0",
        "ai-agents-cleanup-low-confidence": "50 2 * * 0",
        "seo-audit-run": "10 3 * * 0",
        "seo-content-gap-refresh": "20 3 * * 1",
        "seo-redirects-cleanup": "40 3 1 * *",
        "google-feed-scheduled-sync": "50 * * * *",
        "esign-webhook-retry": "2-59/5 * * * *",
    }
)
"""Cron expressions, UTC, by task id. ``google-feed-scheduled-sync`` asks every hour whether a tenant's interval is over."""
