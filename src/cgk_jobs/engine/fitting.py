"""Storing what fits of a batch: tenants' quotas refuse some of it, and the rest is stored all the same."""

from __future__ import annotations

from collections.abc import Sequence

from cgk_jobs.engine.records import NewEvent, Stored
from cgk_jobs.engine.store import Store
from cgk_jobs.errors import DuplicateKey, InvalidEvent, JobsError, QuotaExceeded, TenantClosed

__all__ = ["insert_what_fits"]


async def insert_what_fits(store: Store, events: Sequence[NewEvent]) -> list[Stored | JobsError]:
    """Store events, in the order given and in as few transactions as it takes; of those not stored, why.

    Where a tenant's quota is used up in the middle, its events before that are stored and all its later ones refused.
    """
    part = _Part(store, events)
    await part.insert(range(len(events)))
    return [part.answers[place] for place in range(len(events))]


class _Part:
    def __init__(self, store: Store, events: Sequence[NewEvent]) -> None:
        self._store = store
        self._events = events
        self._refused: dict[str, JobsError] = {}
        self.answers: dict[int, Stored | JobsError] = {}

    async def insert(self, places: Sequence[int]) -> None:
        wanted: list[int] = []
        for place in places:
            refusal = self._refused.get(self._events[place].tenant_id)
            if refusal is None:
                wanted.append(place)
            else:
                self.answers[place] = refusal
        if not wanted:
            return
        try:
            stored = await self._store.insert([self._events[place] for place in wanted])
        except (QuotaExceeded, TenantClosed) as error:
            others = [place for place in wanted if self._events[place].tenant_id != error.tenant_id]
            its = [place for place in wanted if self._events[place].tenant_id == error.tenant_id]
            if len(its) == 1 and not others:
                self._refused[error.tenant_id] = self.answers[its[0]] = error
                return
            # The tenants that are not to blame first, together; then the other's share, halved until it fits.
            for part in (others, its) if others else (its[: len(its) // 2], its[len(its) // 2 :]):
                await self.insert(part)
        except (DuplicateKey, InvalidEvent) as error:
            # Of one event alone: its key, or a moment its task can't have.
            if len(wanted) == 1:
                self.answers[wanted[0]] = error
                return
            for part in (wanted[: len(wanted) // 2], wanted[len(wanted) // 2 :]):
                await self.insert(part)
        else:
            self.answers.update(zip(wanted, stored, strict=True))
