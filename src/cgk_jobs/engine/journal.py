"""The journal of steps, as the runtime wants it, over a store."""

from __future__ import annotations

from cgk_jobs.engine.records import Claim
from cgk_jobs.engine.store import Store

__all__ = ["StoreJournal"]


class StoreJournal:
    """Steps and progress, written under the claim of their attempt."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def load(self, claim: Claim) -> dict[str, str | None]:
        """The finished steps of the claim's run."""
        return await self._store.steps(claim)

    async def record(self, claim: Claim, name: str, result: str | None) -> bool:
        """Write a finished step."""
        return await self._store.record_step(claim, name, result)

    async def progress(self, claim: Claim, progress: str) -> bool:
        """Write how far the attempt is."""
        return await self._store.write_progress(claim, progress)

    async def metadata(self, claim: Claim, changes: str) -> bool:
        """Merge fields into the run's metadata."""
        return await self._store.write_metadata(claim, changes)
