"""Flow control on PostgreSQL: looks up what there is for a key of an event, and writes what ``engine/flow.py`` decides.

Senders of one key take its lock first, and hold it until they have committed: the second sees what the first has stored.
"""

from __future__ import annotations

from collections.abc import Sequence

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
from cgk_jobs.engine.postgres.acting import cancel_in
from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Work
from cgk_jobs.engine.postgres.endings import Endings
from cgk_jobs.engine.postgres.lines import flow_lock, line_lock, lock_keys
from cgk_jobs.engine.postgres.placing import Placing
from cgk_jobs.engine.postgres.readying import Waiting, make_ready
from cgk_jobs.engine.records import NewEvent, RunKey, Subscription
from cgk_jobs.errors import DuplicateKey
from cgk_jobs.tasks.flow import Batch, Debounce, Throttle, Unique

__all__ = ["FlowGate", "remembered_under"]


def remembered_under(task: str) -> str:
    """Under which event name the keys of a task are kept that count for a while. No event and no task is called so."""
    return f"unique:{task}"


class FlowGate:
    """What every event passes that is sent to a task with flow control."""

    def __init__(self, configuration: Configuration, placing: Placing, endings: Endings) -> None:
        self._configuration = configuration
        self._placing = placing
        self._endings = endings

    async def lock(self, work: Work, pairs: Sequence[tuple[NewEvent, Subscription]]) -> None:
        """Take the locks of all keys of these events, before anything is looked up."""
        names: list[str] = []
        for event, target in pairs:
            flow = flow_of(target.flow)
            keys = keys_of(flow, target.task, event)
            if keys.flow is not None:
                names.append(flow_lock(event.tenant_id, keys.flow))
            if keys.throttle is not None:
                names.append(flow_lock(event.tenant_id, keys.throttle))
            if keys.order is not None:
                names.append(line_lock(event.tenant_id, keys.order))
        await lock_keys(work, names)

    async def admit(self, work: Work, event: NewEvent, target: Subscription, now: int) -> tuple[Outcome, int]:
        """How ``event`` fares at one of its listeners, and how many runs it made ready. Whatever it joins is written.

        Raises ``InvalidEvent`` for an option of the send that the task can't have, ``DuplicateKey`` for the replay of a run
        of whose key there is an unfinished one.
        """
        flow = flow_of(target.flow)
        keys = keys_of(flow, target.task, event)
        if event.replay_of is not None or event.parent is not None:
            return await self._admit_alone(work, event, target, keys, now)
        check_moment(flow, event, target.task, now)
        if flow.unique is not None:
            known = await self._known(work, flow.unique, event, target.task, keys, now)
            if known is not None:
                return known, 0
        if flow.throttle is not None and not await self._let_through(
            work, flow.throttle, event.tenant_id, keys.throttle or "", now
        ):
            return refusal(flow.throttle, target.task), 0
        if flow.debounce is not None:
            return await self._debounce(work, flow.debounce, event, target, keys, now), 0
        if flow.batch is not None:
            return await self._batch(work, flow.batch, event, target, keys, now)
        freed = await self._replace(work, event.tenant_id, keys, now) if flow.latest is not None else 0
        until = None
        if flow.unique is not None and flow.unique.period is not None:
            until = now + micros_of(flow.unique.period)
        held_by = await self._hold_of(work, event.tenant_id, keys)
        return Fresh(keys, held_by=held_by, remembered_until=until), freed

    async def _admit_alone(
        self, work: Work, event: NewEvent, target: Subscription, keys: FlowKeys, now: int
    ) -> tuple[Outcome, int]:
        # A run somebody replays or calls: it stands for itself, yet neither beside another of its key nor out of its line.
        flow = flow_of(target.flow)
        if flow.unique is not None and await work.row("find_unfinished", event.tenant_id, keys.flow):
            raise DuplicateKey(
                f"task {target.task} is unique, and a run of this key has not ended: wait for it or cancel it first"
            )
        freed = await self._replace(work, event.tenant_id, keys, now) if flow.latest is not None else 0
        gathers = flow.debounce is not None or flow.batch is not None
        kept = keys._replace(flow=None) if gathers else keys
        return Fresh(kept, held_by=await self._hold_of(work, event.tenant_id, keys)), freed

    async def _hold_of(self, work: Work, tenant_id: str, keys: FlowKeys) -> str | None:
        held = keys.order is not None and await self._endings.lines.is_held(work, tenant_id, keys.order)
        return ORDER_HOLD if held else None

    async def _known(
        self, work: Work, unique: Unique, event: NewEvent, task: str, keys: FlowKeys, now: int
    ) -> Existing | None:
        name = "find_unfinished" if unique.while_ == "unfinished" else "find_unstarted"
        row = await work.row(name, event.tenant_id, keys.flow)
        if row is None and unique.period is not None:
            row = await work.row("find_remembered", event.tenant_id, remembered_under(task), keys.flow, now)
        return None if row is None else Existing(*row)

    async def _let_through(self, work: Work, throttle: Throttle, tenant_id: str, key: str, now: int) -> bool:
        window = micros_of(throttle.seconds)
        row = await work.row("last_throttled", tenant_id, key, throttle.n)
        last, first = (0, None) if row is None else row
        if first is not None and first > now - window:
            return False
        await work.run("write_throttled", tenant_id, key, last + 1, now, now + window)
        return True

    async def _debounce(
        self, work: Work, debounce: Debounce, event: NewEvent, target: Subscription, keys: FlowKeys, now: int
    ) -> Outcome:
        row = await work.row("find_gathering", event.tenant_id, keys.flow)
        if row is None:
            return Fresh(keys, due_at=debounced_until(debounce, now, now))
        due_at = debounced_until(debounce, row["created_at"], now)
        expires = target.expires if event.expires is None else event.expires
        expires_at = None if expires is None else due_at + round(expires * 1e6)
        await work.run(
            "replace_payload", event.tenant_id, row["seq"], event.payload, event.version, due_at, expires_at,
            joined_tags(row["tags"], target, event),
        )  # fmt: skip
        return Joined(row["seq"], row["nonce"])

    async def _batch(
        self, work: Work, batch: Batch, event: NewEvent, target: Subscription, keys: FlowKeys, now: int
    ) -> tuple[Outcome, int]:
        row = await work.row("find_gathering", event.tenant_id, keys.flow)
        if row is None:
            return Fresh(keys, due_at=now + micros_of(batch.seconds), payload=f"[{event.payload}]"), 0
        tags = joined_tags(row["tags"], target, event)
        grown = await work.row("append_payload", event.tenant_id, row["seq"], event.payload, tags)
        freed = 0
        if grown is not None and batch_is_full(batch, grown["events"], grown["characters"]):
            full = Waiting(event.tenant_id, row["seq"], row["queue"], row["lane"])
            await make_ready(work, self._placing, self._configuration, [full])
            freed = 1
        return Joined(row["seq"], row["nonce"]), freed

    async def _replace(self, work: Work, tenant_id: str, keys: FlowKeys, now: int) -> int:
        older = [RunKey(*row) for row in await work.rows("list_unfinished", tenant_id, keys.flow)]
        if not older:
            return 0
        reason = "cancelled: a newer run of its key was sent"
        return (await cancel_in(work, self._endings, older, now, reason=reason)).made_ready
