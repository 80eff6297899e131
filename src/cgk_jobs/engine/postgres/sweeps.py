"""Where claims begin to search: at the very front of the fair order, or above what this process knows to be served.

Claims and settlements leave dead entries at the front of the index until they are vacuumed, which an old transaction of anybody's
prevents; a claim that begins there walks over all of them. Hardly any ready run lies below the floor (``Placing.floor``): only
sends with an old clock. So a full queue is swept from the front a few times a second; one whose sweeps have become slow, full or
not, so seldom that sweeping takes a fiftieth of the time.
"""

from __future__ import annotations

__all__ = ["Sweeps"]

_EVERY = 0.25
"""Seconds between two sweeps of a full queue."""
_FEW = 0.01
"""Seconds a claim may take, ..."""
_EACH = 0.0002
"""... and for each row it claims or settles, before its way there counts as littered."""
_SHARE = 50
_AT_MOST = 5.0
"""Seconds after which even the slowest sweep is done again: the longest a run below the floor waits for it."""


class Sweeps:
    """When the queues of one process are swept. Moments are monotonic seconds, given by the caller."""

    def __init__(self) -> None:
        self._due_at: dict[str, float] = {}
        self._littered: set[str] = set()
        self._full: set[str] = set()

    def is_due(self, queue: str, now: float) -> bool:
        """Whether the next claim is to begin at the front. Always, unless the queue was full or its front is littered."""
        return not (queue in self._full or queue in self._littered) or now >= self._due_at.get(queue, 0.0)

    def swept(self, queue: str, now: float, took: float, rows: int) -> None:
        """A claim that began at the front has ended ``now``; it took so many seconds for so many rows."""
        self._due_at[queue] = now + max(_EVERY, min(took * _SHARE, _AT_MOST))
        if took > _FEW + _EACH * rows:
            self._littered.add(queue)
        else:
            self._littered.discard(queue)

    def filled(self, queue: str, full: bool) -> None:
        """Whether the last claim found as many runs as it wanted."""
        if full:
            self._full.add(queue)
        else:
            self._full.discard(queue)
