"""Runs and the runs they call: each end is told in the transaction that brings it. Locks are taken as ``locking.py`` says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Work
from cgk_jobs.engine.postgres.locking import youngest_first
from cgk_jobs.engine.postgres.placing import Placing
from cgk_jobs.engine.postgres.readying import Waiting, make_ready
from cgk_jobs.engine.records import RunKey
from cgk_jobs.runtime.entries import group_of
from cgk_jobs.wire.ids import to_id
from cgk_jobs.wire.json import dumps

__all__ = ["HOLD", "Ended", "Families", "Sleepers", "family_hold"]

HOLD = "family:"

_Entry = tuple[str, int, str]
"""Tenant, number of the run, name."""


Sleepers = dict[RunKey, tuple[str, Waiting]]
"""Runs that are held: the state of each, and where it would become ready."""


class Ended(NamedTuple):
    """A run that has ended in this transaction, and which entry of which journal waits for it, if any.

    ``held``: it was held back by its group, so that its end makes room for no other.
    """

    tenant_id: str
    seq: int
    nonce: int
    parent_seq: int | None
    parent_step: str | None
    state: str
    result: str | None = None
    error: str | None = None
    held: bool = False

    @property
    def outcome(self) -> str:
        """What the entry of the parent is finished with."""
        run_id = to_id(self.seq, self.nonce)
        if self.state == "completed":
            return f'{{"run":"{run_id}","state":"completed","result":{self.result or "null"}}}'
        return dumps({"run": run_id, "state": self.state, "error": self.error})


class Families:
    """What the end of a child does. Every method works in the transaction of its caller."""

    def __init__(self, configuration: Configuration, placing: Placing) -> None:
        self._configuration = configuration
        self._placing = placing

    async def ended(self, work: Work, runs: Iterable[Ended]) -> int:
        """Tell those that called these runs; returns how many runs became ready. The caller has written their ends."""
        children: dict[_Entry, Ended] = {
            (run.tenant_id, run.parent_seq, run.parent_step): run
            for run in runs
            if run.parent_seq is not None and run.parent_step is not None
        }
        if not children:
            return 0
        parents = {RunKey(tenant_id, seq) for tenant_id, seq, _ in children}
        # Before their journals: who lets a parent wait, or makes more children, is waited for, or waits here.
        sleepers = await self.lock(work, parents)
        finished = await self._finish(work, children)
        # A parent that had ended is being retried meanwhile if it is there now: its journal was waited for.
        sleepers |= await self.lock(work, {RunKey(*entry[:2]) for entry in finished} - sleepers.keys())
        made_ready = await self._release_next(work, [children[entry] for entry in finished])
        return made_ready + await self.wake(work, sleepers, await self._complete(work, finished))

    async def _finish(self, work: Work, children: dict[_Entry, Ended]) -> list[_Entry]:
        rows = [
            (*entry, run.outcome, run.state != "completed")
            for entry, run in sorted(children.items(), key=lambda item: item[0])
        ]
        found = await work.rows("finish_entries", self._configuration.now, *zip(*rows, strict=True))
        return [(row["tenant_id"], row["run_seq"], row["name"]) for row in found]

    async def _complete(self, work: Work, finished: Sequence[_Entry]) -> set[RunKey]:
        """The parents that have nothing of a call left to wait for."""
        complete: set[RunKey] = set()
        groups: dict[_Entry, int] = {}
        for tenant_id, seq, name in finished:
            group = group_of(name)
            if group is None:
                complete.add(RunKey(tenant_id, seq))
            else:
                groups[tenant_id, seq, group] = groups.get((tenant_id, seq, group), 0) + 1
        if groups:
            rows = sorted((*entry, count) for entry, count in groups.items())
            for row in await work.rows("count_down", self._configuration.now, *zip(*rows, strict=True)):
                if row["pending"] == 0:
                    complete.add(RunKey(row["tenant_id"], row["run_seq"]))
        return complete

    async def _release_next(self, work: Work, ended: Sequence[Ended]) -> int:
        """Let as many of each group go as have left room."""
        room: dict[tuple[str, str], int] = {}
        for run in ended:
            group = group_of(run.parent_step or "")
            if group is not None and run.parent_seq is not None and not run.held:
                key = (run.tenant_id, family_hold(run.parent_seq, group))
                room[key] = room.get(key, 0) + 1
        if not room:
            return 0
        rows = sorted((*key, count) for key, count in room.items())
        found = await work.rows("held_siblings", *zip(*rows, strict=True))
        await make_ready(work, self._placing, self._configuration, [Waiting(*row) for row in found])
        return len(found)

    # -- waking ------------------------------------------------------------------------------------------------------

    async def lock(self, work: Work, runs: Iterable[RunKey]) -> Sleepers:
        """Those of these runs that have not ended; held from now on."""
        keys = youngest_first(runs)
        if not keys:
            return {}
        known = self._configuration.tasks
        found: Sleepers = {}
        for tenant_id, seq, state, task, queue, lane in await work.rows("lock_parents", *zip(*keys, strict=True)):
            waiting = Waiting(tenant_id, seq, known[task].queue if task in known else queue, lane)
            found[RunKey(tenant_id, seq)] = (state, waiting)
        return found

    async def wake(self, work: Work, locked: Sleepers, runs: Iterable[RunKey]) -> int:
        """What these runs wait for is there: make ready those that wait, returns how many; and mark those that still run."""
        chosen = [locked[key] for key in youngest_first(runs) if key in locked]
        waiting = [run for state, run in chosen if state == "waiting"]
        running = [(run.tenant_id, run.seq) for state, run in chosen if state == "running"]
        await make_ready(work, self._placing, self._configuration, waiting)
        if running:
            # Their settlement, which waits for this transaction, sees the mark.
            await work.run("mark_woken", *zip(*running, strict=True))
        return len(waiting)


def family_hold(parent_seq: int, group: str) -> str:
    """``held_by`` of a run that waits until fewer of its group are at work."""
    return f"{HOLD}{parent_seq}:{group}"
