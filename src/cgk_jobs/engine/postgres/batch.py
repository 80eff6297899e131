"""The rows of one insert: events turned into columns, in the order of the statement's parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cgk_jobs.engine.postgres.placing import Places, Steps
from cgk_jobs.engine.quotas import Crossing
from cgk_jobs.engine.records import NewEvent, Stored, Subscription
from cgk_jobs.wire.ids import Nonces

__all__ = ["Batch"]

_Kind = tuple[str, str, str, int, int, int, str, str | None, int | None, int | None, int | None, bool, int | None, int]
_Row = tuple[int, int, int, str, str, float, float, bool, int | None, str | None]

_NUMBERS = 8
"""How many numbers one draw gives: one for the event, the others for its runs."""


class Batch:
    """Columns that fill as events are added. Events nobody listens to go into columns of their own."""

    def __init__(self, places: Places, nonces: Nonces) -> None:
        self._given = places
        self._nonces = nonces
        self._kinds: dict[_Kind, list[_Row]] = {}
        self._places: dict[_Kind, list[int]] = {}
        self._steps = Steps()
        self._costs: dict[str, float] = {}
        self._unrouted: list[tuple[int, str, str, int, str]] = []
        self._events: list[tuple[int, int, int]] = []
        self._draws = 0
        self._runs = 0
        self.made_ready = 0
        """Runs that are ready once this is stored."""
        self.crossings: Sequence[Crossing] = ()
        """Soft quotas that what is stored reaches."""
        self.first_due: int | None = None
        """The earliest moment given to a run."""

    def add(self, event: NewEvent, targets: Sequence[Subscription], held_by: str | None, now: int | None) -> None:
        """Add an event. ``now`` (microseconds) where a caller moves the clock: what is due by then is ready."""
        nonce = self._nonces.draw() if event.nonce is None else event.nonce
        first = self._draws + 1
        self._events.append((first if targets else 0, nonce, len(targets)))
        if not targets:
            self._unrouted.append((nonce, event.tenant_id, event.name, event.version, event.payload))
            return
        due_at = event.due_at
        if due_at is not None and now is not None and due_at <= now:
            due_at = None
        number = first * _NUMBERS
        for target in targets:
            number += 1
            if number % _NUMBERS == 0:
                # The numbers of this draw are used up; of the next one all are for runs but the first, which goes unused.
                number += 1
            self._add_run(event, target, first, number, nonce, due_at, held_by)
        self._draws = number // _NUMBERS

    def _add_run(
        self, event: NewEvent, target: Subscription, first: int, number: int, nonce: int, due_at: int | None,
        held_by: str | None,
    ) -> None:  # fmt: skip
        tenant_id = event.tenant_id
        lane = target.lane if event.priority is None else event.priority
        expires = target.expires if event.expires is None else event.expires
        tags = target.tags if not event.tags else f"{target.tags},{event.tags}" if target.tags else event.tags
        parent = event.parent
        if parent is not None and parent.hold is not None:
            held_by = parent.hold
        # Nothing that has happened for everybody, so that no run may wait for it.
        direct = event.task is not None or due_at is not None
        kind: _Kind = (
            target.task, target.queue, event.name, event.version, target.rank, lane, tags, held_by,
            None if expires is None else round(expires * 1e6), event.tick_at, event.replay_of,
            direct, None if parent is None else parent.seq, 0 if parent is None else parent.depth,
        )  # fmt: skip
        rows = self._kinds.get(kind)
        if rows is None:
            rows = self._kinds[kind] = []
            self._places[kind] = []
        vstart, asked, step = 0.0, False, 0.0
        if parent is not None and parent.hold is not None:
            # It gets its place when it is let go; until then only the order among those that are held counts.
            vstart = float(parent.step.rpartition(".")[2])
        elif due_at is None:
            vstart, asked = self._given.place(target.queue, tenant_id, lane)
            self.made_ready += 1
            cost = self._costs.get(tenant_id)
            if cost is None:
                cost = self._costs[tenant_id] = self._given.cost(tenant_id)
            step = self._steps.next(tenant_id, target.queue, lane, cost)
        elif self.first_due is None or due_at < self.first_due:
            self.first_due = due_at
        rows.append((first, number, nonce, tenant_id, event.payload, vstart, step, asked, due_at,
                     None if parent is None else parent.step))  # fmt: skip
        self._places[kind].append(self._runs)
        self._runs += 1

    @property
    def has_runs(self) -> bool:
        """There is something for ``insert_runs``."""
        return bool(self._kinds)

    @property
    def has_unrouted(self) -> bool:
        """There is something for ``insert_unrouted``."""
        return bool(self._unrouted)

    def lone_statement(self) -> tuple[str, list[Any]] | None:
        """The statement and its parameters from the nonce on, if all there is is one ready run with nothing special."""
        if self._runs != 1 or self._unrouted:
            return None
        ((kind, rows),) = self._kinds.items()
        task, queue, name, version, rank, lane, tags, held_by, expires, tick_at, replay_of, direct, parent_seq, _ = kind
        _, _, nonce, tenant_id, payload, vstart, step, asked, due_at, _ = rows[0]
        special = (held_by, tick_at, replay_of, parent_seq, due_at)
        if rank or lane or direct or any(one is not None for one in special):
            return None
        parameters = [nonce, vstart, tenant_id, task, queue, name, version, payload, expires, tags]
        return ("insert_one", [*parameters, step]) if asked else ("insert_lone", parameters)

    def run_parameters(self) -> list[Any]:
        """The parameters of ``insert_runs`` from the number of draws on."""
        firsts: list[int] = []
        lasts: list[int] = []
        rows: list[_Row] = []
        for part in self._kinds.values():
            firsts.append(len(rows) + 1)
            rows += part
            lasts.append(len(rows))
        *columns, steps, asked, due_at, parent_steps = zip(*rows, strict=True)
        jumpers = sorted({row[3] for kind, part in self._kinds.items() if kind[5] > 0 for row in part})
        return [
            self._draws,
            *zip(*self._kinds, strict=True),
            firsts,
            lasts,
            *columns,
            # Each column costs a run as much as its validation: what none of them has is not sent.
            steps if any(asked) else None,
            asked if any(asked) else None,
            due_at if any(due_at) else None,
            parent_steps if any(parent_steps) else None,
            jumpers,
            [self._costs.get(tenant_id, 1.0) for tenant_id in jumpers],
        ]

    def unrouted_parameters(self) -> list[Any]:
        """The parameters of ``insert_unrouted`` from the nonces on."""
        return list(zip(*self._unrouted, strict=True))

    def answers(self, bases: Sequence[int], seqs: Sequence[int], unrouted: Sequence[int]) -> list[Stored]:
        """The numbers that were given, by event, in the order added. ``seqs`` are in the order of the rows."""
        if len(self._places) > 1:
            ordered = [0] * self._runs
            rows = iter(seqs)
            for places in self._places.values():
                for place in places:
                    ordered[place] = next(rows)
            seqs = ordered
        stored: list[Stored] = []
        start = alone = 0
        for first, nonce, count in self._events:
            if count:
                stored.append(Stored(bases[first - 1], nonce, tuple(seqs[start : start + count])))
                start += count
            else:
                stored.append(Stored(unrouted[alone], nonce, ()))
                alone += 1
        return stored
