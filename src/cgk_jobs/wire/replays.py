"""What keeps a signed call from being used twice."""

from __future__ import annotations

from typing import Protocol

from cgk_jobs.clock import Clock, SystemClock
from cgk_jobs.errors import ProviderUnavailable

__all__ = ["Seen", "SeenHere"]


class Seen(Protocol):
    """Remembers the names of calls (a token's id, a nonce) as long as their signatures are good.

    All processes that answer for one address must share it, or each of them takes a call once.
    """

    async def first(self, key: str, until: int) -> bool:
        """Whether ``key`` comes for the first time; it is remembered until a moment (microseconds since 1970 UTC).

        Asked twice at the same moment, one of the two is told no. Raises ``ProviderUnavailable`` where that can't be told.
        """
        ...


class SeenHere:
    """In the memory of one process, for one that answers alone, and for tests. Holds ``most`` names; then it takes no more."""

    def __init__(self, clock: Clock | None = None, *, most: int = 100_000) -> None:
        self._clock = clock or SystemClock()
        self._most = most
        self._until: dict[str, int] = {}

    async def first(self, key: str, until: int) -> bool:
        if key in self._until:
            return False
        if len(self._until) >= self._most:
            now = self._clock.micros()
            self._until = {name: end for name, end in self._until.items() if end > now}
            if len(self._until) >= self._most:
                # To forget one that is still good would let it be used again.
                raise ProviderUnavailable(f"{self._most:,} signed calls within minutes: more than are remembered")
        self._until[key] = until
        return True
