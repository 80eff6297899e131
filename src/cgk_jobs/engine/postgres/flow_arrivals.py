"""Runs of tasks with flow control that were sent in transactions of the application's own: decided once those have committed.

What becomes of such an event depends on other runs, which the application's login can't see, and on locks of keys, which its
transaction might hold for hours. So its send leaves a run that is marked as arriving, and whoever looks what is due decides:
it becomes a run of its own, or is cancelled with the reason, as one that another run stands for, or one too many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from cgk_jobs.engine.flow import FlowKeys, Fresh, Refused, check_moment, flow_of
from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.postgres.endings import Endings
from cgk_jobs.engine.postgres.flowing import FlowGate, remembered_under
from cgk_jobs.engine.postgres.locking import youngest_first
from cgk_jobs.engine.postgres.placing import Placing
from cgk_jobs.engine.postgres.readying import Waiting, make_ready
from cgk_jobs.engine.records import NewEvent, RunKey, Subscription
from cgk_jobs.errors import InvalidEvent
from cgk_jobs.wire.ids import to_id
from cgk_jobs.wire.json import loads

__all__ = ["FlowArrivals", "check_moments"]

_AT_ONCE = 100


def check_moments(configuration: Configuration, events: Sequence[NewEvent], now: int) -> None:
    """Raise ``InvalidEvent`` for a delayed event that has a listener which decides itself when its runs start."""
    for event in events:
        if event.due_at is not None:
            known = configuration.tasks.get(event.task or "")
            targets = configuration.listeners.get(event.name, ()) if event.task is None else [known] if known else []
            for target in targets:
                if target.flow:
                    check_moment(flow_of(target.flow), event, target.task, now)


class _Arrival(NamedTuple):
    """A run that is to be decided, as the event it was sent with."""

    row: Any
    event: NewEvent
    target: Subscription | None
    fault: str | None

    @property
    def key(self) -> RunKey:
        return RunKey(self.row["tenant_id"], self.row["seq"])


class FlowArrivals:
    """The undecided runs of one ledger."""

    def __init__(
        self, database: Database, configuration: Configuration, placing: Placing, gate: FlowGate, endings: Endings
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._placing = placing
        self._gate = gate
        self._endings = endings

    async def decide(self) -> tuple[int, list[int]]:
        """Decide what has arrived, in the order sent; how many runs became ready, and the numbers of those that ended."""
        made_ready, ended = 0, list[int]()
        more = True
        while more:
            count, ready, gone = await self._database.retried(self._decide_some)
            made_ready += ready
            ended += gone
            more = count == _AT_ONCE
        return made_ready, ended

    async def _decide_some(self, work: Work) -> tuple[int, int, list[int]]:
        rows = await work.rows("find_flow_arrivals", _AT_ONCE)
        if not rows:
            return 0, 0, []
        await self._configuration.refresh(work)
        found = [self._arrival(row) for row in rows]
        pairs = [(one.event, one.target) for one in found if one.target is not None and one.target.flow]
        # Before any row: see locking.py.
        await self._gate.lock(work, pairs)
        keys = youngest_first(one.key for one in found)
        locked = await work.rows("lock_flow_arrivals", *zip(*keys, strict=True), self._configuration.now)
        held = {RunKey(row["tenant_id"], row["seq"]): row["now"] for row in locked}
        undecided = [one for one in found if one.key in held]
        unseen = {one.event.tenant_id for one in undecided} - self._configuration.seen
        if unseen:
            await self._configuration.see_in(work, unseen)
        if undecided:
            await work.run("keep_arrivals", *zip(*[one.key for one in undecided], strict=True))
        made_ready = 0
        ends: list[tuple[RunKey, str]] = []
        for one in undecided:
            ready, fault = await self._decide(work, one, held[one.key])
            made_ready += ready
            if fault is not None:
                ends.append((one.key, fault))
        # Last, since they lock counters of quotas.
        for key, fault in ends:
            made_ready += await self._endings.finish(
                work, [key], "cancelled", self._configuration.now, f"cancelled: {fault}"
            )
        return len(rows), made_ready, [key.seq for key, _ in ends]

    def _arrival(self, row: Any) -> _Arrival:
        delayed = row["due_at"] > row["created_at"]
        expires = None if row["expires_at"] is None else (row["expires_at"] - row["due_at"]) / 1e6
        event = NewEvent(
            row["tenant_id"], row["event_name"], row["event_version"], row["payload"], priority=row["lane"],
            due_at=row["due_at"] if delayed else None, expires=expires, tags=row["tags"],
        )  # fmt: skip
        target = self._configuration.tasks.get(row["task"])
        try:
            loads(event.payload)
        except ValueError:
            # Written by a statement of the application's, not by a send.
            return _Arrival(row, event, None, "its payload is not JSON")
        return _Arrival(row, event, target, None)

    async def _decide(self, work: Work, one: _Arrival, now: int) -> tuple[int, str | None]:
        """How many runs became ready, and why this one does not become a run of its own."""
        fresh = Fresh(FlowKeys(None, None, None))
        freed, fault = 0, one.fault
        if one.target is not None and one.target.flow:
            try:
                outcome, freed = await self._gate.admit(work, one.event, one.target, now)
            except InvalidEvent as error:
                fault = str(error)
            else:
                if isinstance(outcome, Fresh):
                    fresh = outcome
                elif isinstance(outcome, Refused):
                    fault = outcome.reason
                else:
                    fault = f"run {to_id(outcome.seq, outcome.nonce)} stands for it"
        if fault is not None:
            return freed, fault
        return freed + await self._settle(work, one, fresh, now), None

    async def _settle(self, work: Work, one: _Arrival, fresh: Fresh, now: int) -> int:
        row = one.row
        due_at: int = row["due_at"] if fresh.due_at is None else fresh.due_at
        expires_at = row["expires_at"]
        if fresh.due_at is not None and expires_at is not None:
            expires_at += fresh.due_at - row["due_at"]
        payload = row["payload"] if fresh.payload is None else fresh.payload
        waits = due_at > now
        held_by = None if waits else fresh.held_by
        await work.run(
            "settle_arrival", *one.key, fresh.keys.flow, fresh.keys.order, payload,
            "queued" if held_by else "scheduled", due_at if waits else None, expires_at, held_by,
        )  # fmt: skip
        if fresh.remembered_until is not None:
            await work.run(
                "remember_key", row["tenant_id"], remembered_under(row["task"]), fresh.keys.flow, row["event_seq"],
                row["nonce"], row["seq"], fresh.remembered_until,
            )  # fmt: skip
        if waits or held_by:
            return 0
        queue = row["queue"] if one.target is None else one.target.queue
        await make_ready(work, self._placing, self._configuration, [Waiting(*one.key, queue, row["lane"])])
        return 1
