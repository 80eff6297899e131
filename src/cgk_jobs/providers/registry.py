"""From settings to a provider."""

from __future__ import annotations

from cgk_jobs.clock import Clock, SystemClock
from cgk_jobs.engine.sqlite.store import SqliteStore
from cgk_jobs.errors import Unsupported
from cgk_jobs.providers.claim_loop import ClaimLoopProvider
from cgk_jobs.providers.provider import JobProvider, ProviderSettings

__all__ = ["create_provider"]


def create_provider(settings: ProviderSettings, clock: Clock | None = None) -> JobProvider:
    """The provider the settings name, not started. Raises ``Unsupported`` for one this version lacks."""
    if settings.provider != "embedded":
        raise Unsupported(f"provider {settings.provider!r}", "this version", "Use embedded.")
    store = SqliteStore(settings.database, clock or SystemClock(), full_sync=settings.full_sync)
    return ClaimLoopProvider(settings.provider, store)
