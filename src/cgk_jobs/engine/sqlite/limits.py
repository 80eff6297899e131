"""Limits and rates: counted in the transaction of the claim and of the settlement, so never exceeded at any instant.

Only runs that have a limit touch these tables. A run over a limit is parked, once: claims don't see it any more, and the
settlement that frees a slot makes the next one ready.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from cgk_jobs.engine.budgets import Draw, window_of
from cgk_jobs.engine.sqlite.configuration import Configuration
from cgk_jobs.engine.sqlite.database import QUERIES
from cgk_jobs.engine.sqlite.fairness import FairOrder

__all__ = ["LimitBook"]

_AT_ONCE = 500
_ROUNDS = 4
"""Portions of budgets looked at in one transaction, while most of what they had was forgotten."""


class LimitBook:
    """The counters. ``released`` rises whenever a parked run was made ready."""

    def __init__(self, db: sqlite3.Connection, order: FairOrder, configuration: Configuration) -> None:
        self._db = db
        self._order = order
        self._configuration = configuration
        self.released = 0
        self._reached = ""

    def admit(self, draws: Sequence[Draw], now: int) -> str | None:
        """Count a start in every budget, or, if one is used up, count nothing and answer its key."""
        for draw in draws:
            capacity, used, starts = self._read(draw)
            if draw.micros:
                oldest = self._db.execute(QUERIES["read_start"], (draw.key, starts % draw.n)).fetchone()
                if oldest is not None and oldest[0] > now - draw.micros:
                    self._db.execute(QUERIES["mark_parked"], (oldest[0] + draw.micros, draw.key))
                    return draw.key
            elif used >= capacity:
                self._db.execute(QUERIES["mark_parked"], (None, draw.key))
                return draw.key
        for draw in draws:
            if draw.micros:
                (starts,) = self._read(draw)[2:]
                self._db.execute(QUERIES["write_start"], (draw.key, starts % draw.n, now))
                self._db.execute(QUERIES["count_start"], (draw.key,))
            else:
                self._db.execute(QUERIES["use_limit"], (draw.key,))
        return None

    def _read(self, draw: Draw) -> tuple[int, int, int]:
        row = self._db.execute(QUERIES["read_limit"], (draw.key,)).fetchone()
        if row is None:
            self._db.execute(QUERIES["put_limit"], (draw.key, draw.tenant_id, draw.n))
            return draw.n, 0, 0
        if row[0] != draw.n:
            # Declared anew with another number. A ring of another length starts over, full: no window may be exceeded.
            self._db.execute(QUERIES["put_limit"], (draw.key, draw.tenant_id, draw.n))
            if draw.micros:
                self._resize(draw, row[2])
        return draw.n, row[1], row[2]

    def _resize(self, draw: Draw, starts: int) -> None:
        recent = self._db.execute(QUERIES["list_starts"], (draw.key, draw.n)).fetchall()
        self._db.execute(QUERIES["forget_starts"], (draw.key,))
        # The newest n starts, laid so that the place written next is the oldest.
        padded = [0] * (draw.n - len(recent)) + [at for (at,) in reversed(recent)]
        self._db.executemany(
            QUERIES["write_start"],
            [(draw.key, (starts + offset) % draw.n, at) for offset, at in enumerate(padded) if at],
        )

    def free(self, keys: Iterable[str]) -> None:
        """Give slots back, each to the run that waits for it first."""
        for key in keys:
            row = self._db.execute(QUERIES["free_limit"], (key,)).fetchone()
            if row is not None and row[1]:
                self._release(key, min(row[0], 1))

    def wake(self, now: int) -> None:
        """Make ready what rates allow again."""
        for key, capacity in self._db.execute(QUERIES["limits_due"], (now,)).fetchall():
            released = self._release(key, capacity + 1)
            if released:
                # One more than can start: it is parked again, and then says when to look next. Should another limit park
                # it, or no worker look at it, those left here are looked at again in a second.
                self._db.execute(QUERIES["wake_limit_at"], (now + 1_000_000 if released > capacity else None, key))

    def next_wake(self) -> int | None:
        """When :meth:`wake` has something to do."""
        value: int | None = self._db.execute(QUERIES["next_limit_wake"]).fetchone()[0]
        return value

    def sweep(self) -> None:
        """Make ready what a raised limit or a cancelled run left parked beside a free slot."""
        for key, free in self._db.execute(QUERIES["free_limits_with_parked"]).fetchall():
            self._release(key, free)

    def forget_idle(self, now: int) -> int:
        """Forget budgets of field values nobody draws on any more, among the next in order; returns how many."""
        total = 0
        for _ in range(_ROUNDS):
            rows = self._db.execute(QUERIES["walk_limits"], (self._reached, _AT_ONCE)).fetchall()
            self._reached = rows[-1][0] if len(rows) == _AT_ONCE else ""
            wanted = [(key, now - micros) for key, idle in rows if idle and (micros := window_of(key)) is not None]
            gone = self._db.execute(QUERIES["remove_idle_limits"], (json.dumps(wanted),)).fetchall()
            self._db.executemany(QUERIES["forget_starts"], gone)
            total += len(gone)
            if len(gone) < _AT_ONCE / 2:
                break
        return total

    def _release(self, key: str, count: int) -> int:
        if count <= 0:
            return 0
        rows = self._db.execute(QUERIES["held_runs"], (key, count)).fetchall()
        for seq, tenant_id, queue, _, vstart, jumped in rows:
            # Its place is kept, yet not before the queue's now: time spent parked is no credit against others.
            place = max(vstart, self._order.now(queue))
            self._db.execute(QUERIES["release_run"], (self._configuration.hold_of(tenant_id), place, jumped, seq))
        if len(rows) < count:
            self._db.execute(QUERIES["unmark_parked"], (key,))
        self.released += len(rows)
        return len(rows)
