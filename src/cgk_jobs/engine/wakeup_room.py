"""How many more wake-ups of each queue a provider may have."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["Room"]


class Room:
    """``handed``: how many of each queue are at the provider, due and due later. ``per_queue``: the most of either."""

    def __init__(self, per_queue: int, handed: Mapping[str, tuple[int, int]]) -> None:
        self._most = per_queue
        self._used = {queue: list(counts) for queue, counts in handed.items()}
        self.handed_later = sum(later for _, later in handed.values())

    def due(self, queue: str) -> int:
        """How many more that are due there is room for; 0 if there are too many already."""
        return max(self._most - self._counts(queue)[0], 0)

    def take(self, queue: str, *, later: bool = False) -> bool:
        """Whether there was room for this one."""
        counts = self._counts(queue)
        counts[later] += 1
        return counts[later] <= self._most

    def _counts(self, queue: str) -> list[int]:
        return self._used.setdefault(queue, [0, 0])
