"""Cancelling runs: what waits at once, what runs by asking its worker."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from cgk_jobs.clock import Clock
from cgk_jobs.engine.records import RunKey
from cgk_jobs.engine.sqlite.claiming import Desk
from cgk_jobs.engine.sqlite.database import QUERIES
from cgk_jobs.engine.sqlite.limits import LimitBook

__all__ = ["Canceller"]


class Canceller:
    """The verb ``cancel``, also for sends that replace older runs. The caller has written every gathered row."""

    def __init__(self, db: sqlite3.Connection, clock: Clock, desk: Desk, limits: LimitBook) -> None:
        self._db = db
        self._clock = clock
        self._desk = desk
        self._limits = limits

    def cancel(self, runs: Iterable[RunKey], reason: str | None = None, *, tree: bool = True) -> int:
        """Cancel runs that wait, and ask the workers of those that run to; returns how many there were of either.

        ``reason`` is kept as the error of those that waited. ``tree``: with every run they called.
        """
        count = 0
        for run in runs:
            # Looked up first: a child that ends tells its parent, and the parent's own end comes before.
            below = self._below(run) if tree else []
            count += self._cancel([run, *below], reason)
        return count

    def _below(self, run: RunKey) -> list[RunKey]:
        values = {"seq": run.seq, "tenant": run.tenant_id}
        return [RunKey(*row) for row in self._db.execute(QUERIES["unfinished_below"], values)]

    def _cancel(self, runs: Iterable[RunKey], reason: str | None) -> int:
        count = 0
        for tenant_id, seq in runs:
            values = (self._clock.micros(), reason, seq, tenant_id)
            row = self._db.execute(QUERIES["cancel_waiting"], values).fetchone()
            if row is None:
                count += self._db.execute(QUERIES["ask_cancel"], (seq, tenant_id)).rowcount
                continue
            count += 1
            self._desk.finished.append(seq)
            self._desk.ended(seq)
            slots, order_key = row
            if slots is not None:
                self._db.execute(QUERIES["clear_slots"], (seq,))
                self._limits.free(json.loads(slots))
            if order_key is not None:
                self._desk.lines.advance(tenant_id, order_key)
        return count
