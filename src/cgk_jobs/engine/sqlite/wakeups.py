"""Wake-ups on SQLite: the verbs of ``engine/wakeups.py`` inside a transaction that ``commits.py`` opened.

What an issue looks at is bounded by what may be at the provider, not by how many runs wait: the front of each queue, the runs
that are due first, and the wake-ups there are.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from cgk_jobs.clock import Clock
from cgk_jobs.engine.sqlite.claiming import Desk
from cgk_jobs.engine.sqlite.configuration import Configuration
from cgk_jobs.engine.sqlite.database import QUERIES
from cgk_jobs.engine.sqlite.sending import Inbox
from cgk_jobs.engine.wakeup_room import Room
from cgk_jobs.engine.wakeups import ActiveProvider, Demand, Outstanding, WakeupRecord, new_wakeup_id

__all__ = ["WakeupBook"]

_CHECKED_AT_ONCE = 1_000
"""Wake-ups whose runs are looked at in one call: the next call goes on behind them."""


class WakeupBook:
    """Which runs have a wake-up, and where."""

    def __init__(
        self, db: sqlite3.Connection, clock: Clock, configuration: Configuration, inbox: Inbox, desk: Desk
    ) -> None:
        self._db = db
        self._clock = clock
        self._configuration = configuration
        self._inbox = inbox
        self._desk = desk
        self._checked_up_to: dict[str, str] = {}

    # -- who wakes runs ----------------------------------------------------------------------------------------------

    def active_provider(self, default: str) -> ActiveProvider:
        """Who wakes runs; see the boundary."""
        row = self._db.execute(QUERIES["read_active_provider"]).fetchone()
        if row is None:
            self._db.execute(QUERIES["begin_active_provider"], (default, "[]"))
            return ActiveProvider(default, (), 1)
        return ActiveProvider(row[0], tuple(json.loads(row[1])), row[2])

    def activate(self, name: str, draining: Sequence[str], version: int) -> ActiveProvider | None:
        """Make another provider the active one; see the boundary."""
        values = (name, json.dumps(list(draining)))
        statement = "change_active_provider" if version else "begin_active_provider"
        if not self._db.execute(QUERIES[statement], (*values, version) if version else values).rowcount:
            return None
        return ActiveProvider(name, tuple(draining), version + 1)

    # -- handing out -------------------------------------------------------------------------------------------------

    def issue(self, demand: Demand) -> list[WakeupRecord]:
        """Wake-ups to be handed over now; see the boundary."""
        self._inbox.write()
        self._desk.promote()
        now = self._clock.micros()
        values: dict[str, Any] = {
            "provider": demand.provider,
            "active": self.active_provider(demand.provider).name,
            "now": now,
            "tasks": json.dumps(sorted(demand.with_payload)),
        }
        late = set(self._db.execute(QUERIES["overdue_wakeups"], values | {"before": now - demand.overdue_after}))
        self._db.execute(QUERIES["forget_wakeups"], (now - demand.repeat_after,))
        records = self._repeated(values | {"before": now - demand.repeat_after, "count": demand.most}, now)
        for row in self._unwoken(demand, values, now):
            if len(records) >= demand.most:
                break
            record = self._issue(row, demand.provider, now)
            records.append(record._replace(again=(record.tenant_id, record.run_seq) in late))
        return records

    def _repeated(self, values: dict[str, Any], now: int) -> list[WakeupRecord]:
        records = [WakeupRecord(*row) for row in self._db.execute(QUERIES["repeated_wakeups"], values).fetchall()]
        self._db.executemany(QUERIES["note_issued"], [(now, record.tenant_id, record.id) for record in records])
        return records

    def _issue(self, row: tuple[Any, ...], provider: str, now: int) -> WakeupRecord:
        tenant_id, seq, nonce, task, queue, lane, due_at, payload, former = row
        if former is not None:
            self._db.execute(QUERIES["make_obsolete"], (tenant_id, former))
        number = new_wakeup_id()
        values = (tenant_id, seq, nonce, task, queue, lane, due_at, number, provider, now)
        self._db.execute(QUERIES["insert_wakeup"], values)
        return WakeupRecord(number, tenant_id, seq, nonce, task, queue, lane, due_at, "", payload)

    def _unwoken(self, demand: Demand, values: dict[str, Any], now: int) -> Iterator[tuple[Any, ...]]:
        """Runs to be given one, as far as their queues have room at the provider."""
        handed = {row[0]: (row[1], row[2]) for row in self._db.execute(QUERIES["handed_wakeups"], values)}
        room = Room(demand.per_queue, handed)
        values["looked_at"] = demand.per_queue
        fronts = [
            self._front(queue, values | {"count": room.due(queue)})
            for (queue,) in self._db.execute(QUERIES["ready_queues"]).fetchall()
            if queue not in self._configuration.paused_queues and room.due(queue)
        ]
        # Queues take turns, so that one does not use up the whole answer.
        for turn in zip_longest(*fronts):
            yield from [row for row in turn if row is not None and room.take(row[4])]
        # Behind those that have theirs already there may be as many more.
        values["looked_at"] += room.handed_later
        values["until"] = now + demand.ahead
        for row in self._db.execute(QUERIES["unwoken_due"], values).fetchall():
            if row[4] not in self._configuration.paused_queues and room.take(row[4], later=row[6] > now):
                yield row

    def _front(self, queue: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        return self._db.execute(QUERIES["unwoken_ready"], values | {"queue": queue}).fetchall()

    def acknowledge(self, provider: str, receipts: Sequence[tuple[str, str, str | None]]) -> int:
        """Note what became of them; see the boundary."""
        now = self._clock.micros()
        rows = [
            {"id": number, "reference": reference, "refused": refused, "provider": provider, "now": now}
            for number, reference, refused in receipts
        ]
        return self._db.executemany(QUERIES["acknowledge_wakeup"], rows).rowcount if rows else 0

    # -- rings -------------------------------------------------------------------------------------------------------

    def take(self, ids: Sequence[str]) -> dict[str, WakeupRecord]:
        """They rang: delete and answer them; see the boundary."""
        rows = self._db.execute(QUERIES["take_wakeups"], (json.dumps(list(ids)),)).fetchall()
        return {row[0]: WakeupRecord(*row) for row in rows}

    def pass_on(self, passed: Sequence[tuple[WakeupRecord, str, int]]) -> None:
        """The wake-ups of claimed runs are for those that are left; see the boundary."""
        for left, tenant_id, seq in passed:
            if (left.tenant_id, left.run_seq) == (tenant_id, seq):
                continue
            key = {"left_tenant": left.tenant_id, "left_seq": left.run_seq, "tenant": tenant_id, "seq": seq}
            run = {"nonce": left.run_nonce, "task": left.task, "lane": left.lane}
            self._db.execute(QUERIES["pass_on_wakeup"], key | run)

    # -- taking back -------------------------------------------------------------------------------------------------

    def obsolete(self, provider: str, count: int) -> list[WakeupRecord]:
        """Wake-ups to be taken back; see the boundary."""
        self._inbox.write()
        self._check(provider)
        return [WakeupRecord(*row) for row in self._db.execute(QUERIES["obsolete_wakeups"], (provider, count))]

    def _check(self, provider: str) -> None:
        """Look at some wake-ups' runs: those that need none leave theirs."""
        values = {"provider": provider, "after": self._checked_up_to.get(provider, ""), "count": _CHECKED_AT_ONCE}
        rows = self._db.execute(QUERIES["checked_wakeups"], values).fetchall()
        self._checked_up_to[provider] = rows[-1][0] if len(rows) == _CHECKED_AT_ONCE else ""
        unneeded = [(tenant_id, number) for number, tenant_id, needed in rows if not needed]
        self._db.executemany(QUERIES["make_obsolete"], unneeded)

    def records(self, provider: str, after: str, count: int) -> list[WakeupRecord]:
        """All of a provider, by id; see the boundary."""
        return [WakeupRecord(*row) for row in self._db.execute(QUERIES["list_wakeups"], (after, provider, count))]

    def drop(self, ids: Sequence[str]) -> int:
        """Forget wake-ups that were taken back; see the boundary."""
        return self._db.execute(QUERIES["drop_wakeups"], (json.dumps(list(ids)),)).rowcount

    def count(self) -> Mapping[str, Outstanding]:
        """What is outstanding, by provider."""
        rows = self._db.execute(QUERIES["count_wakeups"], (self._clock.micros(),))
        return {row[0]: Outstanding(*row[1:]) for row in rows}
