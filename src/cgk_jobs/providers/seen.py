"""What the processes of an installation must agree on is kept in the ledger: calls that came before, and who works alone."""

from __future__ import annotations

from cgk_jobs.engine.store import Store

__all__ = ["LedgerLeases", "LedgerSeen"]


class LedgerSeen:
    """Implements ``Seen`` over a ledger."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def first(self, key: str, until: int) -> bool:
        """Whether ``key`` comes for the first time; it is remembered until a moment (microseconds since 1970 UTC)."""
        return await self._store.first_seen(key, until)


class LedgerLeases:
    """Implements ``Leases`` over a ledger."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def take(self, name: str, seconds: float) -> int | None:
        """Hold ``name`` alone; ``None`` while another process does."""
        return await self._store.take_lease(name, seconds)

    async def drop(self, name: str, lease: int | None) -> bool:
        """Let a lease go before its time."""
        return await self._store.drop_lease(name, lease)
