"""The fair order between tenants on PostgreSQL: places come from this process's memory, clocks are shared a few times a second.

Start-time fair queuing (Goyal, Vin, Cheng 1996), as on SQLite: a run that becomes ready gets a virtual start time,
``max(the tenant's last, the queue's now) + 1 / weight``, and runs are claimed in that order. No lock is taken for it: a
tenant's clock row in every send would cost a third of a batch, and a user's open transaction would hold it. Instead each
process gives places from memory and adds what it gave to the shared clocks every 50 ms, in a statement of its own. Between
two such moments processes may give the same places; after them both go on from the sum. So a tenant gains at most what it
sends in 50 ms, and in one insert, through other processes.

A place counts once the statement that writes it was run, and not before: that statement may ask the shared clocks itself, and
would find its own places in them, put its runs behind themselves, and their tenant behind everybody else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from cgk_jobs.clock import monotonic
from cgk_jobs.engine.postgres.database import Work

__all__ = ["PUBLISH_EVERY", "Places", "Placing", "Steps"]

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
    __slots__ = ("cost", "last", "open", "opened_at", "preferred", "shared_at", "statements", "unshared")

    def __init__(self, cost: float) -> None:
        self.cost = cost
        self.last = 0.0
        self.open = 0.0
        """Given to statements that were not run yet."""
        self.statements = 0
        """How many those are."""
        self.opened_at = 0.0
        """Since when there are any."""
        self.unshared = 0.0
        """Given to statements that were run, and not yet added to the shared clock."""
        self.shared_at = 0.0
        self.preferred: dict[int, float] | None = None


class _Opened:
    """What one statement has of a clock. ``before``: the clock when the last places were given that lie next to each other."""

    __slots__ = ("before", "clock", "last", "sum")

    def __init__(self, clock: _Clock) -> None:
        self.clock = clock
        self.before = self.last = clock.last
        self.sum = 0.0


class Steps:
    """How far the runs of one statement lie apart, where it asks the shared clocks: those know of none of them yet.

    A run is behind those before it in the statement; one of higher priority only behind those of its own and higher ones.
    """

    def __init__(self) -> None:
        self._all: dict[tuple[str, str], float] = {}
        self._preferred: dict[tuple[str, str], dict[int, float]] = {}

    def next(self, tenant_id: str, queue: str, lane: int, cost: float) -> float:
        """The step of the next run."""
        key = (tenant_id, queue)
        step = self._all[key] = self._all.get(key, 0.0) + cost
        if lane <= 0:
            return step
        lanes = self._preferred.setdefault(key, {})
        lanes[lane] = lanes.get(lane, 0.0) + cost
        return sum(taken for number, taken in lanes.items() if number >= lane)


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

    def giving(self) -> Places:
        """Places for the runs of one statement."""
        return Places(self)

    def give(self, queue: str, tenant_id: str, lane: int) -> float:
        """The place of a run whose statement does not ask the shared clocks."""
        with self.giving() as places:
            return places.place(queue, tenant_id, lane)[0]

    def open_place(
        self, queue: str, tenant_id: str, lane: int, opened: dict[tuple[str, str], _Opened]
    ) -> tuple[float, bool]:
        """Give a place that is open until :meth:`close_places`; see ``Places.place``."""
        key = (tenant_id, queue)
        cost = self.cost(tenant_id)
        with self._lock:
            clock = self._clocks.get(key)
            if clock is None or clock.cost != cost:
                # With another share all that waits has other places: the database knows how far they reach.
                clock = self._clocks[key] = _Clock(cost)
            mine = opened.get(key)
            if mine is None or mine.clock is not clock:
                mine = opened[key] = _Opened(clock)
                if not clock.statements:
                    clock.opened_at = monotonic()
                clock.statements += 1
            elif mine.last != clock.last:
                mine.before = clock.last
            now = self._now.get(queue, 0.0)
            clock.last = mine.last = vstart = max(clock.last, now) + cost
            clock.open += cost
            mine.sum += cost
            if lane > 0:
                # Ahead of the tenant's waiting runs of lower priority, behind those of its own; the others move back.
                lanes = clock.preferred = clock.preferred or {}
                ahead = max((last for number, last in lanes.items() if number >= lane), default=0.0)
                vstart = lanes[lane] = max(ahead, now) + cost
            return vstart, monotonic() - clock.shared_at > _TRUSTED_FOR

    def close_places(self, opened: Mapping[tuple[str, str], _Opened], *, used: bool) -> None:
        """The statement with these places was run and wrote them (``used``), or wrote nothing."""
        with self._lock:
            for key, mine in opened.items():
                clock = mine.clock
                clock.statements -= 1
                clock.open = clock.open - mine.sum if clock.statements else 0.0
                if not used:
                    if clock.last == mine.last:
                        # Nobody has a place behind these: the next to come gets them.
                        clock.last = mine.before
                elif self._clocks.get(key) is clock:
                    clock.unshared += mine.sum
                    self._dirty.add(key)
        if used and opened:
            self._stirred = True

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
                if clock.statements and at - clock.opened_at < _SHARED_WITHIN:
                    # A statement that is still to ask would find places given after its own, and go behind them.
                    continue
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
                        shared.last = max(shared.last, row["value"] + shared.unshared + shared.open)
                        shared.shared_at = at
        if len(self._clocks) > _REMEMBERED:
            with self._lock:
                self._clocks = {
                    key: clock for key, clock in self._clocks.items() if clock.statements or key in self._dirty
                }


class Places:
    """The places of one statement's runs, given inside a ``with`` block in which the statement is run.

    They count from the end of the block on, unless it raises or says :meth:`unused`.
    """

    def __init__(self, placing: Placing) -> None:
        self._placing = placing
        self._opened: dict[tuple[str, str], _Opened] = {}
        self._used = True

    def place(self, queue: str, tenant_id: str, lane: int = 0) -> tuple[float, bool]:
        """A virtual start time, and whether the database's clocks must be asked too, as those in memory are old."""
        return self._placing.open_place(queue, tenant_id, lane, self._opened)

    def cost(self, tenant_id: str) -> float:
        """How far one run moves its tenant's clock."""
        return self._placing.cost(tenant_id)

    def unused(self) -> None:
        """The statement wrote nothing."""
        self._used = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._placing.close_places(self._opened, used=self._used and error is None)
