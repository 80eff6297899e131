"""Wake-ups on PostgreSQL: the verbs of ``engine/wakeups.py``.

What an issue looks at is bounded by what may be at the provider, not by how many runs wait: the front of each queue, the runs
that are due first, and the wake-ups there are. One relay issues at a time, and takes only rows nobody else has locked, so it
waits for no other verb's rows; the others lock theirs by tenant and id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.wakeup_room import Room
from cgk_jobs.engine.wakeups import LEASE, ActiveProvider, Demand, Outstanding, WakeupRecord, new_wakeup_id

__all__ = ["WakeupBook"]

_CHECKED_AT_ONCE = 1_000
"""Wake-ups whose runs are looked at in one call: the next call goes on behind them."""


class WakeupBook:
    """Which runs have a wake-up, and where."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._checked_up_to: dict[str, str] = {}

    # -- who wakes runs ----------------------------------------------------------------------------------------------

    async def active_provider(self, default: str) -> ActiveProvider:
        """Who wakes runs; see the boundary."""
        row = await self._database.row("read_active_provider")
        if row is None:
            # Somebody else may say it at the same moment: the first stands.
            await self._database.run("begin_active_provider", default, [])
            return await self.active_provider(default)
        return ActiveProvider(row["name"], tuple(row["draining"]), row["version"])

    async def activate(self, name: str, draining: Sequence[str], version: int) -> ActiveProvider | None:
        """Make another provider the active one; see the boundary."""
        if version:
            changed = await self._database.run("change_active_provider", name, list(draining), version)
        else:
            changed = await self._database.run("begin_active_provider", name, list(draining))
        return ActiveProvider(name, tuple(draining), version + 1) if changed else None

    # -- handing out -------------------------------------------------------------------------------------------------

    async def issue(self, demand: Demand) -> list[WakeupRecord]:
        """Wake-ups to be handed over now; see the boundary."""
        return await self._database.retried(lambda work: self._issue(work, demand))

    async def _issue(self, work: Work, demand: Demand) -> list[WakeupRecord]:
        (begun,) = await work.rows("begin_issue", self._database.now)
        now, active = begun["now"], begun["active"] or demand.provider
        tasks = sorted(demand.with_payload)
        before = now - demand.repeat_after
        overdue = await work.rows("overdue_wakeups", demand.provider, now - demand.overdue_after)
        late = {(row["tenant_id"], row["run_seq"]) for row in overdue}
        await work.run("forget_wakeups", before)
        rows = await work.rows("repeated_wakeups", now, before, demand.provider, demand.most, tasks)
        repeated = [WakeupRecord(*row) for row in rows]
        unwoken = await self._unwoken(work, demand, now, active, demand.most - len(repeated))
        written = await self._write(work, unwoken, demand.provider, now)
        return repeated + [one._replace(again=(one.tenant_id, one.run_seq) in late) for one in written]

    async def _unwoken(self, work: Work, demand: Demand, now: int, active: str, count: int) -> list[Any]:
        """Runs to be given one, as far as their queues have room at the provider."""
        if count <= 0:
            return []
        tasks = sorted(demand.with_payload)
        counts = await work.rows("handed_wakeups", demand.provider, now)
        room = Room(demand.per_queue, {row["queue"]: (row["due"], row["later"]) for row in counts})
        queues = [row["queue"] for row in await work.rows("ready_queues")]
        open_queues = [(queue, room.due(queue)) for queue in queues if room.due(queue)]
        found: list[Any] = []
        if open_queues:
            names, rooms = zip(*open_queues, strict=True)
            found = await work.rows(
                "unwoken_ready", names, rooms, now, active, demand.provider, tasks, demand.per_queue, count
            )
            for row in found:
                room.take(row["queue"])
        if len(found) < count:
            # Behind those that have theirs already there may be as many more.
            looked_at = demand.per_queue + room.handed_later
            rows = await work.rows("unwoken_due", now, active, demand.provider, tasks, now + demand.ahead, looked_at)
            found += [row for row in rows if room.take(row["queue"], later=row["due_at"] > now)]
        return found[:count]

    async def _write(self, work: Work, unwoken: Sequence[Any], provider: str, now: int) -> list[WakeupRecord]:
        if not unwoken:
            return []
        former = [(row["tenant_id"], row["former"]) for row in unwoken if row["former"] is not None]
        if former:
            await work.run("make_obsolete", *zip(*former, strict=True))
        records = [WakeupRecord(new_wakeup_id(), *row[:7])._replace(payload=row["payload"]) for row in unwoken]
        columns = zip(*[(*record[1:8], record.id) for record in records], strict=True)
        written = {row["id"] for row in await work.rows("insert_wakeups", *columns, provider, now)}
        return [record for record in records if record.id in written]

    async def acknowledge(self, provider: str, receipts: Sequence[tuple[str, str, str | None]]) -> int:
        """Note what became of them; see the boundary."""
        if not receipts:
            return 0
        columns = zip(*receipts, strict=True)
        return await self._database.run("acknowledge_wakeups", self._database.now, provider, *columns)

    # -- rings -------------------------------------------------------------------------------------------------------

    async def take(self, ids: Sequence[str]) -> dict[str, WakeupRecord]:
        """They rang: delete and answer them; see the boundary."""
        rows = await self._database.rows("take_wakeups", ids)
        return {row["id"]: WakeupRecord(*row) for row in rows}

    async def pass_on(self, passed: Sequence[tuple[WakeupRecord, str, int]]) -> None:
        """The wake-ups of claimed runs are for those that are left; see the boundary."""
        # In the order in which an issue writes: who meets there waits in no circle.
        items = sorted((left.tenant_id, left.run_seq, left, tenant_id, seq) for left, tenant_id, seq in passed)
        moved = [(item[2], *item[3:]) for item in items if item[:2] != item[3:]]

        async def verb(work: Work) -> None:
            for left, tenant_id, seq in moved:
                await work.run(
                    "pass_on_wakeup", tenant_id, seq, left.tenant_id, left.run_seq, left.run_nonce, left.task, left.lane
                )

        if moved:
            await self._database.retried(verb)

    # -- taking back -------------------------------------------------------------------------------------------------

    async def obsolete(self, provider: str, count: int) -> list[WakeupRecord]:
        """Wake-ups to be taken back; see the boundary."""
        after = self._checked_up_to.get(provider, "")

        async def verb(work: Work) -> tuple[list[WakeupRecord], str]:
            checked = await work.rows("checked_wakeups", provider, after, _CHECKED_AT_ONCE)
            unneeded = [(row["tenant_id"], row["id"]) for row in checked if not row["needed"]]
            if unneeded:
                await work.run("make_obsolete", *zip(*unneeded, strict=True))
            rows = await work.rows("obsolete_wakeups", provider, count)
            last = checked[-1]["id"] if len(checked) == _CHECKED_AT_ONCE else ""
            return [WakeupRecord(*row) for row in rows], last

        records, self._checked_up_to[provider] = await self._database.retried(verb)
        return records

    async def records(self, provider: str, after: str, count: int) -> list[WakeupRecord]:
        """All of a provider, by id; see the boundary."""
        return [WakeupRecord(*row) for row in await self._database.rows("list_wakeups", provider, after, count)]

    async def drop(self, ids: Sequence[str]) -> int:
        """Forget wake-ups that were taken back; see the boundary."""
        return len(await self._database.rows("take_wakeups", ids))

    async def count(self) -> Mapping[str, Outstanding]:
        """What is outstanding, by provider."""
        rows = await self._database.rows("count_wakeups", self._database.now)
        return {row["provider"]: Outstanding(*row[1:]) for row in rows}

    # -- signed calls ------------------------------------------------------------------------------------------------

    async def first_seen(self, key: str, until: int) -> bool:
        """Whether a signed call comes for the first time; see the boundary."""
        return await self._database.run("note_seen_call", key, until) == 1

    async def was_seen(self, key: str) -> bool:
        """Whether a call is remembered; see the boundary."""
        found: bool = await self._database.value("find_seen_call", key)
        return found

    # -- leases ------------------------------------------------------------------------------------------------------

    async def take_lease(self, name: str, seconds: float) -> int | None:
        """Hold a name alone; see the boundary."""
        lease: int | None = await self._database.value(
            "take_lease", LEASE + name, round(seconds * 1e6), self._database.now
        )
        return lease

    async def drop_lease(self, name: str, lease: int | None) -> bool:
        """Let it go; see the boundary."""
        return await self._database.run("drop_lease", LEASE + name, lease) == 1
