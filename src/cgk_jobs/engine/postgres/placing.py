"""The fair order between tenants on PostgreSQL: places come from this process's memory, clocks are shared a few times a second.

Start-time fair queuing (Goyal, Vin, Cheng 1996), as on SQLite: a run that becomes ready gets a virtual start time,
``max(the tenant's last, the queue's now) + 1 / weight``, and runs are claimed in that order. No lock is taken for it: a
tenant's clock row in every send would cost a third of a batch, and a user's open transaction would hold it. Instead each
process gives places from memory and adds what it gave to the shared clocks every 50 ms, in a statement of its own. Between
two such moments processes may give the same places; after them both go on from the sum. So a tenant gains at most what it
sends in 50 ms through other processes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from cgk_jobs.clock import monotonic
from cgk_jobs.engine.postgres.database import Work

__all__ = ["PUBLISH_EVERY", "Placing"]

PUBLISH_EVERY = 0.05
"""Seconds between two publications of the clocks."""
_WORTH_SHARING = 16.0
"""Places of a tenant not yet published from which on they are, whoever else sends for it."""
_SHARED_WITHIN = 1.0
"""Seconds after which also fewer places are published."""
_FEW = 100
"""Tenants that are published at once, whatever they sent: among more, only those worth it."""
_TRUSTED_FOR = 0.1
"""Seconds after which a tenant's clock in memory is no longer trusted: the database's counts too."""
_REMEMBERED = 20_000
"""Tenants' clocks kept in memory."""
_ROUNDS = 3
"""Publications a claim's floor lags behind the queue's clock: sends with older clocks are still found above it."""


class _Clock:
    __slots__ = ("cost", "last", "preferred", "shared_at", "unshared")

    def __init__(self, cost: float) -> None:
        self.cost = cost
        self.last = 0.0
        self.unshared = 0.0
        self.shared_at = 0.0
        self.preferred: dict[int, float] | None = None


class Placing:
    """Gives places. ``weights`` answers the shares of tenants whose share is not 1. Safe for several threads."""

    def __init__(self, weights: Callable[[], Mapping[str, float]]) -> None:
        self._weights = weights
        self._lock = threading.Lock()
        self._clocks: dict[tuple[str, str], _Clock] = {}
        self._dirty: set[tuple[str, str]] = set()
        self._now: dict[str, float] = {}
        self._floors: dict[str, list[float]] = {}
        self._stirred = False

    def now(self, queue: str) -> float:
        """The queue's virtual time, as last heard or reached here."""
        return self._now.get(queue, 0.0)

    def advance(self, queue: str, vstart: float) -> None:
        """A run with this virtual start time was claimed."""
        if vstart > self._now.get(queue, 0.0):
            self._now[queue] = vstart
            self._stirred = True

    def floor(self, queue: str) -> float:
        """A virtual time almost no ready run lies below: claims begin to search there, past what is dead."""
        floors = self._floors.get(queue)
        return floors[0] if floors is not None and len(floors) == _ROUNDS else 0.0

    def cost(self, tenant_id: str) -> float:
        """How far one run moves its tenant's clock."""
        weight = self._weights().get(tenant_id)
        return 1.0 if weight is None else 1.0 / weight

    def place(self, queue: str, tenant_id: str, lane: int = 0) -> tuple[float, bool]:
        """A virtual start time, and whether the database's clocks must be asked too, as those in memory are old."""
        key = (tenant_id, queue)
        cost = self.cost(tenant_id)
        with self._lock:
            clock = self._clocks.get(key)
            if clock is None or clock.cost != cost:
                # With another share all that waits has other places: the database knows how far they reach.
                clock = self._clocks[key] = _Clock(cost)
            now = self._now.get(queue, 0.0)
            clock.last = vstart = max(clock.last, now) + cost
            clock.unshared += cost
            self._dirty.add(key)
            self._stirred = True
            if lane > 0:
                # Ahead of the tenant's waiting runs of lower priority, behind those of its own; the others move back.
                lanes = clock.preferred = clock.preferred or {}
                ahead = max((last for number, last in lanes.items() if number >= lane), default=0.0)
                vstart = lanes[lane] = max(ahead, now) + cost
            return vstart, monotonic() - clock.shared_at > _TRUSTED_FOR

    def reach(self, queue: str, tenant_id: str, lane: int, vstart: float) -> None:
        """Runs of the tenant wait up to this place: the next one's of this priority is behind it."""
        key = (tenant_id, queue)
        with self._lock:
            clock = self._clocks.setdefault(key, _Clock(self.cost(tenant_id)))
            if lane > 0:
                lanes = clock.preferred = clock.preferred or {}
                lanes[lane] = max(vstart, lanes.get(lane, 0.0))
            ahead = vstart - max(clock.last, self._now.get(queue, 0.0))
            if ahead > 0:
                clock.last = vstart
                clock.unshared += ahead
                self._dirty.add(key)
                self._stirred = True

    @property
    def has_news(self) -> bool:
        """A place was given or a clock has moved since the last publication."""
        return self._stirred

    async def publish(self, work: Work) -> None:
        """Share the clocks with the other processes and hear theirs."""
        at = monotonic()
        self._stirred = False
        queues = sorted({*self._now, *(queue for _, queue in self._dirty)})
        if queues:
            rows = await work.rows("share_queue_clocks", queues, [self.now(queue) for queue in queues])
            for row in rows:
                self.advance(row["queue"], row["value"])
            for queue in queues:
                floors = self._floors.setdefault(queue, [])
                floors.append(self.now(queue))
                del floors[:-_ROUNDS]
        shares: list[tuple[str, str, float]] = []
        with self._lock:
            few = len(self._dirty) <= _FEW
            for key in sorted(self._dirty):
                clock = self._clocks[key]
                # What the queue has passed already was served, and is not to be counted on top of its now.
                ahead = max(clock.last - self._now.get(key[1], 0.0), 0.0)
                if few or clock.unshared >= _WORTH_SHARING or (ahead and at - clock.shared_at > _SHARED_WITHIN):
                    shares.append((*key, min(clock.unshared, ahead)))
                    clock.unshared = 0.0
                    self._dirty.discard(key)
                elif not ahead:
                    # The queue has passed it: nothing of this clock matters any more.
                    clock.unshared = 0.0
                    self._dirty.discard(key)
        if shares:
            columns = list(zip(*shares, strict=True))
            now = [self._now.get(queue, 0.0) for queue in columns[1]]
            rows = await work.rows("share_tenant_clocks", columns[0], columns[1], columns[2], now)
            with self._lock:
                for row in rows:
                    shared = self._clocks.get((row["tenant_id"], row["queue"]))
                    if shared is not None:
                        # Never back: runs of this process that already have later places come first.
                        shared.last = max(shared.last, row["value"] + shared.unshared)
                        shared.shared_at = at
        if len(self._clocks) > _REMEMBERED:
            with self._lock:
                self._clocks = {key: clock for key, clock in self._clocks.items() if key in self._dirty}
