"""Storing events and the runs they make."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence

from cgk_jobs.clock import Clock
from cgk_jobs.engine.flow import FlowKeys, Fresh, Outcome, pack_runs, stored_of, unpack_runs
from cgk_jobs.engine.quotas import NOTHING, Cost, cost_of
from cgk_jobs.engine.records import NewEvent, Stored, Subscription
from cgk_jobs.engine.sqlite.configuration import Configuration
from cgk_jobs.engine.sqlite.database import QUERIES
from cgk_jobs.engine.sqlite.fairness import FairOrder
from cgk_jobs.engine.sqlite.flowing import FlowGate, remembered_under
from cgk_jobs.engine.sqlite.quotas import QuotaBook
from cgk_jobs.errors import DuplicateKey, InvalidTask
from cgk_jobs.wire.ids import COUNTER_BITS, Nonces

__all__ = ["Inbox"]

_Row = tuple[object, ...]

_NO_OPTIONS = NewEvent("", "", 1, "")[4:]
_PLAIN = Fresh(FlowKeys(None, None, None))


class Inbox:
    """Takes events in. Rows gather until :meth:`write`, so that all sends of a transaction are one statement."""

    def __init__(
        self, db: sqlite3.Connection, clock: Clock, configuration: Configuration, order: FairOrder, gate: FlowGate
    ) -> None:
        self._db = db
        self._clock = clock
        self._configuration = configuration
        self._order = order
        self.quotas = QuotaBook(db, configuration)
        self._gate = gate
        self._nonces = Nonces()
        self._rows: list[_Row] = []
        self._plain_rows: list[_Row] = []
        self._ticks: set[tuple[str, str | None, int]] = set()
        self.last_seq = 0
        """The last number given to an event or run, as far as this process knows."""
        self.tell_waits: Callable[[NewEvent, int, int, int | None], None] | None = None
        """Called with an event of an awaited name, its number, its random part, and the number of its first run."""
        self.made_ready = 0
        """Runs made ready since the owner last set it to 0."""
        self.first_due: int | None = None
        """The earliest moment given to a run since the owner last set it to ``None``."""

    def others_wrote(self) -> None:
        """Another process may have used up sequence numbers."""
        rows = [self._db.execute(QUERIES[name]).fetchone()[0] for name in ("last_run", "last_unrouted")]
        self.last_seq = max(self.last_seq, *(row or 0 for row in rows))

    def forget(self) -> None:
        """The transaction was rolled back."""
        self._rows.clear()
        self._plain_rows.clear()
        self._ticks.clear()
        self.quotas.forget()

    def insert(self, events: Sequence[NewEvent]) -> list[Stored]:
        """Store events with a run for each task that listens.

        Raises ``DuplicateKey`` for one key with two payloads, ``InvalidTask`` for a task nobody has declared;
        ``QuotaExceeded`` and ``TenantClosed`` before anything is written.
        """
        now = self._clock.micros()
        if self._configuration.quotas:
            self.quotas.admit(self._costs(events, now), now, self.last_seq)
        return self._store(events, now)

    def _store(self, events: Sequence[NewEvent], now: int) -> list[Stored]:
        # Numbers follow the clock, and go on where they were while it stands still or steps back.
        self.last_seq = max(self.last_seq, ((now // 1000) << COUNTER_BITS) - 1)
        # Most events have no options and one listener, and of most it matters how fast they are: these are stored here, in
        # one loop without a call that can be saved.
        configuration, place_simply, draw, rows = (
            self._configuration,
            self._order.place_simply,
            self._nonces.draw,
            self._plain_rows,
        )
        alone, tenants, awaited = configuration.alone, configuration.tenants, configuration.awaited
        answers: list[Stored] = []
        for event in events:
            if event[4:] != _NO_OPTIONS:
                answers.append(self._insert(event, now))
                continue
            tenant_id, name, version, payload = event[:4]
            target = alone.get(name)
            if target is None or tenant_id not in tenants or configuration.paused_tenants or name in awaited:
                answers.append(self._insert_listened(event, now))
                continue
            place = place_simply(target.queue, tenant_id)
            if place is None:
                answers.append(self._insert_listened(event, now))
                continue
            nonce = draw()
            event_seq = self.last_seq + 1
            seq = self.last_seq = event_seq + 1
            rows.append(
                (
                    seq,
                    nonce,
                    tenant_id,
                    target.task,
                    target.queue,
                    place,
                    event_seq,
                    name,
                    version,
                    payload,
                    target.tags,
                    now,
                )
            )
            self.made_ready += 1
            answers.append(Stored(event_seq, nonce, (seq,)))
        return answers

    def insert_ticks(self, events: Sequence[NewEvent]) -> list[Stored]:
        """Store the ticks of a schedule. Those a tenant's quota does not take are left out, and counted as refused."""
        if self._configuration.quotas:
            now = self._clock.micros()
            costs = [(event.tenant_id, self._costs([event], now).get(event.tenant_id)) for event in events]
            limited = [(tenant_id, cost) for tenant_id, cost in costs if cost is not None]
            taken = iter(self.quotas.admit_ticks(limited, now, self.last_seq))
            events = [event for event, (_, cost) in zip(events, costs, strict=True) if cost is None or next(taken)]
        return self._store(events, self._clock.micros())

    def _costs(self, events: Sequence[NewEvent], now: int) -> dict[str, Cost]:
        """What these events would add to what their tenants have used, of tenants that have quotas."""
        costs: dict[str, Cost] = {}
        keys: set[tuple[str, str, str]] = set()
        for event in events:
            if event.tenant_id not in self._configuration.quotas:
                continue
            if event.key is not None:
                mark = (event.tenant_id, event.task or event.name, event.key)
                if mark in keys or self._known(event, now) is not None:
                    continue
                keys.add(mark)
            if event.tick_at is not None and self._tick(event) is not None:
                continue
            cost = cost_of(event, len(tuple(self._targets(event))))
            costs[event.tenant_id] = costs.get(event.tenant_id, NOTHING).plus(cost)
        return costs

    def _insert_listened(self, event: NewEvent, now: int) -> Stored:
        # The same as _insert, with less to decide.
        tenant_id, name, version, payload = event[:4]
        configuration = self._configuration
        if name in configuration.flowing:
            return self._insert(event, now)
        if tenant_id not in configuration.tenants:
            configuration.see(tenant_id, now)
        nonce = self._nonces.draw()
        seq = event_seq = self.last_seq + 1
        targets = configuration.listeners.get(name, ())
        held_by = configuration.hold_of(tenant_id) if configuration.paused_tenants else None
        for target in targets:
            seq += 1
            vstart, jumped = self._order.place(target.queue, tenant_id, target.lane)
            if jumped or held_by or target.lane or target.rank or target.expires is not None:
                self._rows.append(
                    (
                        seq, nonce, tenant_id, target.task, target.queue, "queued", target.rank, target.lane, vstart,
                        jumped, None, None if target.expires is None else now + round(target.expires * 1e6), held_by,
                        event_seq, name, version, payload, target.tags, None, None, now, None, None, 0, 0, None, None,
                    )
                )  # fmt: skip
            else:
                self._plain_rows.append(
                    (
                        seq, nonce, tenant_id, target.task, target.queue, vstart, event_seq, name, version, payload,
                        target.tags, now,
                    )
                )  # fmt: skip
        self.last_seq = seq
        self.made_ready += len(targets)
        if not targets:
            self._db.execute(QUERIES["insert_unrouted"], (event_seq, nonce, tenant_id, name, version, payload, now))
        if name in configuration.awaited and self.tell_waits is not None:
            self.tell_waits(event, event_seq, nonce, event_seq + 1 if targets else None)
        return Stored(event_seq, nonce, tuple(range(event_seq + 1, seq + 1)))

    def _insert(self, event: NewEvent, now: int) -> Stored:
        if event.key is not None:
            known = self._known(event, now)
            if known is not None:
                return known
        if event.tick_at is not None:
            fired = self._fired(event, event.tick_at)
            if fired is not None:
                return fired
        nonce = self._nonces.draw() if event.nonce is None else event.nonce
        self.last_seq += 1
        event_seq = self.last_seq
        if event.tenant_id not in self._configuration.tenants:
            self._configuration.see(event.tenant_id, now)
        outcomes = self._route(event, event_seq, nonce, now)
        if outcomes:
            stored = stored_of(event_seq, nonce, outcomes)
            if stored.refused is not None:
                return stored
        else:
            stored = Stored(event_seq, nonce, ())
            self._keep_unrouted(event, event_seq, nonce, now)
        if event.tags and not stored.duplicate:
            tags = [(event.tenant_id, tag, seq) for seq in stored.run_seqs for tag in event.tags.split(",")]
            self._db.executemany(QUERIES["insert_tag"], tags)
        if event.key is not None:
            self._db.execute(
                QUERIES["insert_key"],
                (event.tenant_id, event.task or event.name, event.key, event.payload, event_seq, nonce,
                 pack_runs(stored), event.key_until),
            )  # fmt: skip
        if event.name in self._configuration.awaited and self.tell_waits is not None and not _is_direct(event, now):
            # Where the event is found by a wait that looks back: a run that keeps just this payload, or by itself.
            kept = [seq for outcome, seq in outcomes if isinstance(outcome, Fresh) and outcome.due_at is None]
            if outcomes and not kept:
                self._keep_unrouted(event, event_seq, nonce, now)
            self.tell_waits(event, event_seq, nonce, kept[0] if kept else None)
        return stored

    def _keep_unrouted(self, event: NewEvent, event_seq: int, nonce: int, now: int) -> None:
        values = (event_seq, nonce, event.tenant_id, event.name, event.version, event.payload, now)
        self._db.execute(QUERIES["insert_unrouted"], values)

    def _fired(self, event: NewEvent, tick_at: int) -> Stored | None:
        # The unique index would refuse it too; asked first, a repeated tick costs no failed statement.
        mark = (event.tenant_id, event.task, tick_at)
        if mark in self._ticks:
            self.write()
        self._ticks.add(mark)
        return self._tick(event)

    def _route(self, event: NewEvent, event_seq: int, nonce: int, now: int) -> list[tuple[Outcome, int]]:
        """How the event fared at each task that listens, and the number of the run it made there."""
        outcomes: list[tuple[Outcome, int]] = []
        for target in self._targets(event):
            outcome = self._admit(event, target, now) if target.flow else _PLAIN
            seq = self._add_run(event, target, event_seq, nonce, now, outcome) if isinstance(outcome, Fresh) else 0
            outcomes.append((outcome, seq))
        return outcomes

    def _admit(self, event: NewEvent, target: Subscription, now: int) -> Outcome:
        # What it may join or replace must be in the ledger to be found.
        self.write()
        return self._gate.admit(event, target, now)

    def _targets(self, event: NewEvent) -> Iterable[Subscription]:
        if event.task is None:
            return self._configuration.listeners.get(event.name, ())
        target = self._configuration.tasks.get(event.task)
        if target is None:
            raise InvalidTask(f"no process has declared a task {event.task!r}: start the application that has it once")
        return (target,)

    def _tick(self, event: NewEvent) -> Stored | None:
        row = self._db.execute(QUERIES["find_tick"], (event.tenant_id, event.task, event.tick_at)).fetchone()
        return None if row is None else Stored(row[2], row[1], (row[0],), duplicate=True)

    def _known(self, event: NewEvent, now: int) -> Stored | None:
        row = self._db.execute(
            QUERIES["find_key"], (event.tenant_id, event.task or event.name, event.key, now)
        ).fetchone()
        if row is None:
            return None
        payload, event_seq, nonce, seqs = row
        if payload != event.payload:
            raise DuplicateKey(
                f"key {event.key!r} of {event.name} was used with another payload: "
                "a key names one event; choose another key"
            )
        return unpack_runs(event_seq, nonce, seqs)

    def _add_run(
        self, event: NewEvent, target: Subscription, event_seq: int, nonce: int, now: int, fresh: Fresh
    ) -> int:
        self.last_seq += 1
        seq = self.last_seq
        tenant_id, due_at = event.tenant_id, event.due_at if fresh.due_at is None else fresh.due_at
        lane = target.lane if event.priority is None else event.priority
        expires = target.expires if event.expires is None else event.expires
        held_by = None
        if due_at is None or due_at <= now:
            state, due_at = "queued", None
            if fresh.held_by is None:
                vstart, jumped = self._order.place(target.queue, tenant_id, lane)
                held_by = self._configuration.hold_of(tenant_id)
                if event.parent is not None and event.parent.hold is not None:
                    held_by = event.parent.hold
                self.made_ready += 1
            else:
                # Its place in the fair order is given when it gets ahead in its line.
                vstart, jumped, held_by = 0.0, 0.0, fresh.held_by
        else:
            state, vstart, jumped = "scheduled", 0.0, 0.0
            if self.first_due is None or due_at < self.first_due:
                self.first_due = due_at
        parent_seq, step, depth = (None, None, 0) if event.parent is None else (event.parent[0], *event.parent[2:4])
        tags = target.tags if not event.tags else f"{target.tags},{event.tags}" if target.tags else event.tags
        self._rows.append(
            (
                seq, nonce, tenant_id, target.task, target.queue, state, target.rank, lane, vstart, jumped, due_at,
                None if expires is None else (due_at or now) + round(expires * 1e6), held_by, event_seq, event.name,
                event.version, event.payload if fresh.payload is None else fresh.payload, tags, event.tick_at, event.replay_of,
                now, parent_seq, step, depth, _is_direct(event, now), fresh.keys.flow, fresh.keys.order,
            )
        )  # fmt: skip
        if fresh.remembered_until is not None:
            self._db.execute(
                QUERIES["insert_key"],
                (tenant_id, remembered_under(target.task), fresh.keys.flow, "", event_seq, nonce, f"[{seq}]",
                 fresh.remembered_until),
            )  # fmt: skip
        return seq

    def write(self) -> None:
        """Write the rows that gathered."""
        self._ticks.clear()
        if self._plain_rows:
            rows, self._plain_rows = self._plain_rows, []
            self._db.executemany(QUERIES["insert_plain_run"], rows)
        if self._rows:
            rows, self._rows = self._rows, []
            self._db.executemany(QUERIES["insert_run"], rows)


def _is_direct(event: NewEvent, now: int) -> bool:
    """Whether it was sent to one task alone, or for later: nothing that has happened now, so no run may wait for it."""
    return event.task is not None or (event.due_at is not None and event.due_at > now)
