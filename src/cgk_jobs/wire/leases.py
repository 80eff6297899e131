"""What keeps work from being done by two processes at the same time."""

from __future__ import annotations

from typing import Protocol

from cgk_jobs.clock import Clock, SystemClock

__all__ = ["Leases", "LeasesHere"]


class Leases(Protocol):
    """Names that one process at a time may hold. Raises ``ProviderUnavailable`` where that can't be told."""

    async def take(self, name: str, seconds: float) -> int | None:
        """Hold ``name`` alone, for so long at most: the lease's number, or ``None`` while somebody holds it."""
        ...

    async def drop(self, name: str, lease: int | None) -> bool:
        """Let a lease go before its time; ``None``: whoever holds it. False: it was over."""
        ...


class LeasesHere:
    """In the memory of one process, for one that works alone, and for tests."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._until: dict[str, int] = {}

    async def take(self, name: str, seconds: float) -> int | None:
        now = self._clock.micros()
        if self._until.get(name, now) > now:
            return None
        self._until[name] = now + round(seconds * 1e6)
        return self._until[name]

    async def drop(self, name: str, lease: int | None) -> bool:
        if name not in self._until or lease not in (None, self._until[name]):
            return False
        del self._until[name]
        return True
