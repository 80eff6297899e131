"""Flow control on SQLite: looks up what there is for a key of an event, and writes what ``engine/flow.py`` decides."""

from __future__ import annotations

import sqlite3

from cgk_jobs.engine.flow import (
    ORDER_HOLD,
    Existing,
    FlowKeys,
    Fresh,
    Joined,
    Outcome,
    batch_is_full,
    check_moment,
    debounced_until,
    flow_of,
    joined_tags,
    keys_of,
    micros_of,
    refusal,
)
from cgk_jobs.engine.records import NewEvent, RunKey, Subscription
from cgk_jobs.engine.sqlite.cancelling import Canceller
from cgk_jobs.engine.sqlite.claiming import Desk
from cgk_jobs.engine.sqlite.database import QUERIES
from cgk_jobs.engine.sqlite.limits import LimitBook
from cgk_jobs.errors import DuplicateKey
from cgk_jobs.tasks.flow import Batch, Debounce, Throttle, Unique

__all__ = ["FlowGate", "remembered_under"]


def remembered_under(task: str) -> str:
    """Under which event name the keys of a task are kept that count for a while. No event and no task is called so."""
    return f"unique:{task}"


class FlowGate:
    """What every event passes that is sent to a task with flow control. The caller has written every gathered row."""

    def __init__(self, db: sqlite3.Connection, desk: Desk, limits: LimitBook, canceller: Canceller) -> None:
        self._db = db
        self._desk = desk
        self._limits = limits
        self._canceller = canceller

    def admit(self, event: NewEvent, target: Subscription, now: int) -> Outcome:
        """How ``event`` fares at one of its listeners. Whatever it joins or replaces is written.

        Raises ``InvalidEvent`` for an option of the send that the task can't have, ``DuplicateKey`` for the replay of a run
        of whose key there is an unfinished one.
        """
        flow = flow_of(target.flow)
        keys = keys_of(flow, target.task, event)
        if event.replay_of is not None or event.parent is not None:
            return self._admit_alone(event, target, keys)
        check_moment(flow, event, target.task, now)
        if flow.unique is not None:
            known = self._known(flow.unique, event, target.task, keys, now)
            if known is not None:
                return known
        if flow.throttle is not None and not self._let_through(
            flow.throttle, event.tenant_id, keys.throttle or "", now
        ):
            return refusal(flow.throttle, target.task)
        if flow.debounce is not None:
            return self._debounce(flow.debounce, event, target, keys, now)
        if flow.batch is not None:
            return self._batch(flow.batch, event, target, keys, now)
        if flow.latest is not None:
            self._replace(event.tenant_id, keys)
        until = None
        if flow.unique is not None and flow.unique.period is not None:
            until = now + micros_of(flow.unique.period)
        return Fresh(keys, held_by=self._hold_of(event.tenant_id, keys), remembered_until=until)

    def _admit_alone(self, event: NewEvent, target: Subscription, keys: FlowKeys) -> Outcome:
        # A run somebody replays or calls: it stands for itself, yet neither beside another of its key nor out of its line.
        flow = flow_of(target.flow)
        if flow.unique is not None and self._find("find_unfinished", event.tenant_id, keys):
            raise DuplicateKey(
                f"task {target.task} is unique, and a run of this key has not ended: wait for it or cancel it first"
            )
        if flow.latest is not None:
            self._replace(event.tenant_id, keys)
        gathers = flow.debounce is not None or flow.batch is not None
        kept = keys._replace(flow=None) if gathers else keys
        return Fresh(kept, held_by=self._hold_of(event.tenant_id, keys))

    def _hold_of(self, tenant_id: str, keys: FlowKeys) -> str | None:
        held = keys.order is not None and self._desk.lines.is_held(tenant_id, keys.order)
        return ORDER_HOLD if held else None

    def _find(self, name: str, tenant_id: str, keys: FlowKeys) -> tuple[int, int] | None:
        row: tuple[int, int] | None = self._db.execute(QUERIES[name], (tenant_id, keys.flow)).fetchone()
        return row

    def _known(self, unique: Unique, event: NewEvent, task: str, keys: FlowKeys, now: int) -> Existing | None:
        name = "find_unfinished" if unique.while_ == "unfinished" else "find_unstarted"
        row = self._find(name, event.tenant_id, keys)
        if row is None and unique.period is not None:
            values = (event.tenant_id, remembered_under(task), keys.flow, now)
            row = self._db.execute(QUERIES["find_remembered"], values).fetchone()
        return None if row is None else Existing(*row)

    def _let_through(self, throttle: Throttle, tenant_id: str, key: str, now: int) -> bool:
        window = micros_of(throttle.seconds)
        (last,) = self._db.execute(QUERIES["last_throttled"], (tenant_id, key)).fetchone()
        first = self._db.execute(QUERIES["read_throttled"], (tenant_id, key, last - throttle.n + 1)).fetchone()
        if first is not None and first[0] > now - window:
            return False
        self._db.execute(QUERIES["write_throttled"], (tenant_id, key, last + 1, now, now + window))
        return True

    def _debounce(self, debounce: Debounce, event: NewEvent, target: Subscription, keys: FlowKeys, now: int) -> Outcome:
        row = self._db.execute(QUERIES["find_gathering"], (event.tenant_id, keys.flow)).fetchone()
        if row is None:
            return Fresh(keys, due_at=debounced_until(debounce, now, now))
        seq, nonce, created_at, _, _, tags = row
        due_at = debounced_until(debounce, created_at, now)
        expires = target.expires if event.expires is None else event.expires
        expires_at = None if expires is None else due_at + round(expires * 1e6)
        self._db.execute(
            QUERIES["replace_payload"],
            (event.payload, event.version, due_at, expires_at, joined_tags(tags, target, event), seq, event.tenant_id),
        )
        return Joined(seq, nonce)

    def _batch(self, batch: Batch, event: NewEvent, target: Subscription, keys: FlowKeys, now: int) -> Outcome:
        row = self._db.execute(QUERIES["find_gathering"], (event.tenant_id, keys.flow)).fetchone()
        if row is None:
            due_at = now + micros_of(batch.seconds)
            return Fresh(keys, due_at=due_at, payload=f"[{event.payload}]")
        seq, nonce, _, queue, lane, tags = row
        events, characters = self._db.execute(
            QUERIES["append_payload"], (event.payload, joined_tags(tags, target, event), seq, event.tenant_id)
        ).fetchone()
        if batch_is_full(batch, events, characters):
            self._desk.make_ready(seq, event.tenant_id, queue, lane)
            self._limits.released += 1
        return Joined(seq, nonce)

    def _replace(self, tenant_id: str, keys: FlowKeys) -> None:
        older = [RunKey(*row) for row in self._db.execute(QUERIES["list_unfinished"], (tenant_id, keys.flow))]
        self._canceller.cancel(older, "cancelled: a newer run of its key was sent")
