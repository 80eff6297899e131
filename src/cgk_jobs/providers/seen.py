"""Calls that must not be accepted twice are remembered in the ledger, for all processes of an installation."""

from __future__ import annotations

from cgk_jobs.engine.store import Store

__all__ = ["LedgerSeen"]


class LedgerSeen:
    """Implements ``Seen`` over a ledger."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def first(self, key: str, until: int) -> bool:
        """Whether ``key`` comes for the first time; it is remembered until a moment (microseconds since 1970 UTC)."""
        return await self._store.first_seen(key, until)
