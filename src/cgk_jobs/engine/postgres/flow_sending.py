"""Storing events that have a listener with flow control, one after the other: each may join what the one before it made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from cgk_jobs.engine.flow import FlowKeys, Fresh, Outcome, stored_of
from cgk_jobs.engine.postgres.batch import Batch
from cgk_jobs.engine.postgres.charging import targets_of
from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Outdated, Work
from cgk_jobs.engine.postgres.flowing import FlowGate, remembered_under
from cgk_jobs.engine.postgres.placing import Places, Placing
from cgk_jobs.engine.records import NewEvent, Stored, Subscription
from cgk_jobs.wire.ids import Nonces

__all__ = ["FlowSending"]

_PLAIN = Fresh(FlowKeys(None, None, None))
_NUMBERS = 8

StorePlain = Callable[[Sequence[NewEvent], Batch], Awaitable["list[Stored] | None"]]
"""Stores events without flow control, telling the batch what they made ready; ``None``: the settings have changed."""


class FlowSending:
    """Works in the transaction of its caller."""

    def __init__(self, configuration: Configuration, placing: Placing, gate: FlowGate, nonces: Nonces) -> None:
        self._configuration = configuration
        self._placing = placing
        self._gate = gate
        self._nonces = nonces

    def concerns(self, events: Sequence[NewEvent]) -> bool:
        """Whether one of these has a listener with flow control. A look into memory."""
        flowing = self._configuration.flowing
        return bool(flowing) and any((event.task or event.name) in flowing for event in events)

    async def lock(self, work: Work, events: Sequence[NewEvent]) -> list[Sequence[Subscription]]:
        """Take the locks of all keys of these events; answers who listens to each."""
        targets = [targets_of(self._configuration, event) for event in events]
        pairs = [
            (event, target) for event, found in zip(events, targets, strict=True) for target in found if target.flow
        ]
        await self._gate.lock(work, pairs)
        return targets

    async def store(
        self, work: Work, events: Sequence[NewEvent], version: int | None, plain: StorePlain, told: Batch
    ) -> list[Stored] | None:
        """Store events in their order; ``None`` if the settings in memory are not the ledger's. ``told`` gathers what to tell."""
        targets = await self.lock(work, events)
        if await work.value("settings_version") != version:
            return None
        stored: list[Stored] = []
        for event, found in zip(events, targets, strict=True):
            if any(target.flow for target in found):
                stored.append(await self._store_one(work, event, found, told))
                continue
            answers = await plain([event], told)
            if answers is None:
                if stored:
                    await self._configuration.refresh(work)
                    raise Outdated
                return None
            stored += answers
        return stored

    async def _store_one(self, work: Work, event: NewEvent, targets: Sequence[Subscription], told: Batch) -> Stored:
        nonce = self._nonces.draw() if event.nonce is None else event.nonce
        draws = await work.rows("draw_numbers", self._configuration.now, 1 + len(targets) // (_NUMBERS - 1))
        now: int = draws[0]["now"]
        event_seq: int = draws[0]["base"]
        numbers = iter([row["base"] + offset for row in draws for offset in range(1, _NUMBERS)])
        outcomes: list[tuple[Outcome, int]] = []
        for target in targets:
            outcome: Outcome = _PLAIN
            if target.flow:
                outcome, freed = await self._gate.admit(work, event, target, now)
                told.made_ready += freed
            seq = 0
            if isinstance(outcome, Fresh):
                seq = next(numbers)
                await self._insert(work, event, target, outcome, (event_seq, seq, nonce, now), told)
            outcomes.append((outcome, seq))
        return stored_of(event_seq, nonce, outcomes)

    async def _insert(
        self,
        work: Work,
        event: NewEvent,
        target: Subscription,
        fresh: Fresh,
        numbers: tuple[int, int, int, int],
        told: Batch,
    ) -> None:
        with self._placing.giving() as places:
            await self._insert_placed(work, event, target, fresh, numbers, told, places)
        if fresh.remembered_until is not None:
            event_seq, seq, nonce, _ = numbers
            await work.run(
                "remember_key", event.tenant_id, remembered_under(target.task), fresh.keys.flow, event_seq, nonce, seq,
                fresh.remembered_until,
            )  # fmt: skip

    async def _insert_placed(
        self,
        work: Work,
        event: NewEvent,
        target: Subscription,
        fresh: Fresh,
        numbers: tuple[int, int, int, int],
        told: Batch,
        places: Places,
    ) -> None:
        event_seq, seq, nonce, now = numbers
        tenant_id = event.tenant_id
        due_at = event.due_at if fresh.due_at is None else fresh.due_at
        lane = target.lane if event.priority is None else event.priority
        expires = target.expires if event.expires is None else event.expires
        state, vstart, asked, held_by = "queued", 0.0, False, fresh.held_by
        if due_at is not None and due_at > now:
            state, held_by = "scheduled", None
            told.first_due = due_at if told.first_due is None else min(told.first_due, due_at)
        else:
            due_at = None
            if held_by is None:
                # One in line gets its place in the fair order when it gets ahead.
                vstart, asked = places.place(target.queue, tenant_id, lane)
                held_by = self._configuration.hold_of(tenant_id)
                if event.parent is not None and event.parent.hold is not None:
                    held_by = event.parent.hold
                told.made_ready += 1
                if lane > 0:
                    cost = self._placing.cost(tenant_id)
                    await work.run("insert_jump", tenant_id, target.queue, seq, lane, cost)
        parent_seq, step, depth = (None, None, 0) if event.parent is None else (event.parent[0], *event.parent[2:4])
        tags = target.tags if not event.tags else f"{target.tags},{event.tags}" if target.tags else event.tags
        direct = event.task is not None or (event.due_at is not None and event.due_at > now)
        await work.run(
            "insert_flow_run", tenant_id, seq, nonce, event_seq, target.task, target.queue, state, target.rank, lane, vstart,
            asked and lane <= 0, due_at, None if expires is None else (due_at or now) + round(expires * 1e6), held_by,
            event.name, event.version, event.payload if fresh.payload is None else fresh.payload, tags, event.tick_at,
            event.replay_of, now, parent_seq, step, depth, direct, fresh.keys.flow, fresh.keys.order,
        )  # fmt: skip
