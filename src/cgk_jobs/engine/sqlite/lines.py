"""Runs in order: of each line one run is ahead, the others are parked behind it until it has ended."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from cgk_jobs.engine.sqlite.database import QUERIES
from cgk_jobs.engine.sqlite.limits import LimitBook

__all__ = ["Lines"]

MakeReady = Callable[[int, str, str, int], None]


class Lines:
    """The lines of all tenants. A run's place is its number, so a run retried by hand is before those sent after it."""

    def __init__(self, db: sqlite3.Connection, limits: LimitBook, make_ready: MakeReady) -> None:
        self._db = db
        self._limits = limits
        self._make_ready = make_ready

    def is_held(self, tenant_id: str, order_key: str) -> bool:
        """Whether a run of this line is ahead: queued, running, waiting or between attempts."""
        return self._db.execute(QUERIES["is_line_held"], (tenant_id, order_key)).fetchone() is not None

    def advance(self, tenant_id: str, order_key: str) -> None:
        """A run of the line has ended: make the next one ready, unless another is ahead (the ended one was in line)."""
        if self.is_held(tenant_id, order_key):
            return
        row = self._db.execute(QUERIES["next_in_line"], (tenant_id, order_key)).fetchone()
        if row is not None:
            seq, queue, lane = row
            self._make_ready(seq, tenant_id, queue, lane)
            self._limits.released += 1
