"""The fair order: which run of a queue is next.

Start-time fair queuing (Goyal, Vin, Cheng 1996). A run that becomes ready gets a virtual start time,
``max(the tenant's last, the queue's now) + 1 / weight``, and runs are claimed in that order. The queue's now is the largest
time claimed so far, so a tenant that was idle starts at now and saves nothing up, while one with a backlog queues behind
itself only.

Priority orders within a tenant. Each priority is a *lane*. A run of a higher lane takes a place before the tenant's waiting
runs of lower lanes, and they all move back by one place. They are not touched then, however many wait: the lane's
``jumped`` counter remembers how far, and a run that is reached by a claim moves back by what its lane owes since the run got
its place. So priority costs other tenants nothing, and one update at most for a run and wave.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from cgk_jobs.engine.sqlite.configuration import Configuration
from cgk_jobs.engine.sqlite.database import QUERIES

__all__ = ["FairOrder"]

_AHEAD = 32.0
"""Places of a tenant's clock reserved with one write while no other process writes to the ledger."""


class _Lane:
    __slots__ = ("jumped", "last", "reserved")

    def __init__(self, last: float, jumped: float) -> None:
        self.last = last
        self.reserved = last
        self.jumped = jumped


class FairOrder:
    """Virtual clocks of queues and tenants: kept in memory, written so that a crash never gives a place twice."""

    def __init__(self, db: sqlite3.Connection, configuration: Configuration) -> None:
        self._db = db
        self._configuration = configuration
        self._now: dict[str, float] = {}
        self._lanes: dict[tuple[str, str], dict[int, _Lane]] = {}
        self._suspect: set[tuple[str, str]] = set()
        self._simple: dict[tuple[str, str], _Lane] = {}
        self._alone = False

    def others_wrote(self) -> None:
        """Another process has written since: what is in memory may be behind."""
        self._now.clear()
        self._simple.clear()
        self._suspect = set(self._lanes)
        if len(self._lanes) > 10_000:
            self._lanes.clear()
            self._suspect.clear()
        self._alone = False

    def nobody_wrote(self) -> None:
        """No other process has written since the last transaction: places may be reserved ahead."""
        self._alone = True

    def forget(self) -> None:
        """A transaction was rolled back: memory is ahead of the ledger."""
        self._now.clear()
        self._simple.clear()
        self._lanes.clear()
        self._suspect.clear()

    def now(self, queue: str) -> float:
        """The queue's virtual time."""
        value = self._now.get(queue)
        if value is None:
            row = self._db.execute(QUERIES["read_clock"], (queue, "")).fetchone()
            value = self._now[queue] = row[1] if row else 0.0
        return value

    def advance(self, queue: str, vstart: float) -> None:
        """A run with this virtual start time was claimed."""
        if vstart > self.now(queue):
            self._now[queue] = vstart
            self._db.execute(QUERIES["write_clock"], (queue, "", 0, vstart, 0.0))

    def place_simply(self, queue: str, tenant_id: str) -> float | None:
        """``place`` for a tenant without priorities and with the usual share, if memory alone answers: else ``None``."""
        mine = self._simple.get((queue, tenant_id))
        now = self._now.get(queue)
        if mine is None or now is None:
            return None
        last = mine.last
        vstart = (last if last > now else now) + 1.0
        if vstart > mine.reserved:
            return None
        mine.last = vstart
        return vstart

    def place(self, queue: str, tenant_id: str, lane: int) -> tuple[float, float]:
        """The virtual start time of a run that becomes ready, and what its lane had been pushed back by then."""
        lanes = self._of(queue, tenant_id)
        now = self._now.get(queue)
        if now is None:
            now = self.now(queue)
        weights = self._configuration.weights
        cost = 1.0 / weights[tenant_id] if tenant_id in weights else 1.0
        mine = lanes.get(lane)
        if mine is None:
            above = [other for number, other in lanes.items() if number > lane]
            mine = lanes[lane] = _Lane(max((other.last for other in above), default=0.0), 0.0)
        vstart = max(mine.last, now) + cost
        if len(lanes) == 1:
            mine.last = vstart
            if vstart > mine.reserved:
                mine.reserved = vstart + (_AHEAD * cost if self._alone else 0.0)
                self._db.execute(QUERIES["write_clock"], (queue, tenant_id, lane, mine.reserved, mine.jumped))
            if cost == 1.0 and lane == 0 and not mine.jumped:
                self._simple[queue, tenant_id] = mine
        else:
            self._simple.pop((queue, tenant_id), None)
            for number, other in lanes.items():
                if number <= lane:
                    other.last = max(other.last, now) + cost
                    if number < lane:
                        other.jumped += cost
                    other.reserved = other.last
                    self._db.execute(QUERIES["write_clock"], (queue, tenant_id, number, other.last, other.jumped))
            mine.last = vstart
        return vstart, mine.jumped

    def lay_out(self, queue: str, tenant_id: str, waiting: Sequence[tuple[int, float]]) -> list[tuple[float, float]]:
        """Places for all of a tenant's backlog, which takes turns with other tenants' runs from the queue's now on.

        ``waiting`` are lanes and places so far, in the order in which the runs are to be claimed; answers place and ``jumped``
        of each. With the places they had, they would all go at once; behind the tenant's clock, which has counted them
        already, they would go last of all.
        """
        lanes = self._of(queue, tenant_id)
        self._simple.pop((queue, tenant_id), None)
        cost = 1.0 / self._configuration.weights.get(tenant_id, 1.0)
        reached = self.now(queue)
        found: list[tuple[float, float]] = []
        ends: dict[int, float] = {}
        for lane, vstart in waiting:
            reached = max(vstart, reached + cost)
            mine = lanes.setdefault(lane, _Lane(0.0, 0.0))
            found.append((reached, mine.jumped))
            ends[lane] = reached
        for lane, mine in lanes.items():
            # Also behind those of higher lanes, which go first.
            end = max((end for number, end in ends.items() if number >= lane), default=0.0)
            if end > mine.last:
                mine.last = mine.reserved = end
                self._db.execute(QUERIES["write_clock"], (queue, tenant_id, lane, end, mine.jumped))
        return found

    def owed(self, queue: str, tenant_id: str, lane: int, jumped: float) -> float:
        """How far a waiting run has to move back because higher lanes went ahead since it got its place."""
        lanes = self._of(queue, tenant_id)
        if len(lanes) == 1:
            return 0.0
        mine = lanes.get(lane)
        return 0.0 if mine is None else mine.jumped - jumped

    def change_share(self, tenant_id: str, ratio: float) -> None:
        """A tenant's runs cost ``ratio`` times what they did: those that wait take turns by that from now on."""
        for (queue,) in self._db.execute(QUERIES["queues_of_tenant"], (tenant_id,)).fetchall():
            values = {"tenant": tenant_id, "queue": queue, "now": self.now(queue), "ratio": ratio}
            self._db.execute(QUERIES["move_places"], values)
            self._db.execute(QUERIES["move_clocks"], values)
        self.forget()

    def _of(self, queue: str, tenant_id: str) -> dict[int, _Lane]:
        key = (queue, tenant_id)
        lanes = self._lanes.get(key)
        if lanes is not None and key not in self._suspect:
            return lanes
        rows = self._db.execute(QUERIES["read_clock"], key).fetchall()
        if lanes is None:
            lanes = self._lanes[key] = {}
        for lane, value, jumped in rows:
            known = lanes.get(lane)
            # As this process reserved it: nobody moved it, and the places up to there are still ours.
            if known is None or known.reserved != value or known.jumped != jumped:
                lanes[lane] = _Lane(value, jumped)
        if 0 not in lanes:
            lanes[0] = _Lane(0.0, 0.0)
        self._suspect.discard(key)
        return lanes
