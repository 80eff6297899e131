"""Writing how attempts ended, each under its fence."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from cgk_jobs.engine.flow import cancelled_instead
from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.postgres.endings import Endings
from cgk_jobs.engine.postgres.families import Ended
from cgk_jobs.engine.postgres.limits import LimitBook
from cgk_jobs.engine.postgres.locking import locking_order, youngest_first
from cgk_jobs.engine.postgres.placing import Placing
from cgk_jobs.engine.postgres.quotas import give_back_settled
from cgk_jobs.engine.postgres.readying import Waiting, make_ready
from cgk_jobs.engine.records import Claim, RunKey, Settlement
from cgk_jobs.engine.states import FINAL, legal
from cgk_jobs.errors import InvalidTask

__all__ = ["Settled", "Settling", "is_plain"]

EVERY_JUMP = (1 << 63) - 1
"""Above every run's number: a run that gets a new place owes nothing for what went ahead before."""


@dataclass(slots=True)
class Settled:
    """What settlements did: those that came too late, runs that ended, how many runs became ready, the first moment given."""

    stale: list[Claim] = field(default_factory=list[Claim])
    finished: list[int] = field(default_factory=list[int])
    made_ready: int = 0
    first_due: int | None = None


def is_plain(item: Settlement) -> bool:
    """An attempt that completed and leaves nothing but its result: the most, settled together with the next claim."""
    return item.claim.slots is None and _is_simple(item)


def _is_simple(item: Settlement) -> bool:
    """An attempt that completed and leaves nothing but its result and its slots."""
    claim = item.claim
    return item.state == "completed" and not item.log and claim.parent_seq is None and claim.order_key is None


class Settling:
    """Settles attempts in one transaction, rows in the order of ``locking.py``."""

    def __init__(
        self,
        database: Database,
        configuration: Configuration,
        placing: Placing,
        limits: LimitBook,
        endings: Endings,
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._placing = placing
        self._limits = limits
        self._endings = endings

    def columns(self, plain: Sequence[Settlement]) -> list[list[object]]:
        """Tenants, numbers, claims and results of plain settlements, in the order of ``locking.py``."""
        ordered = sorted(plain, key=lambda item: locking_order(item.claim))
        return [
            [item.claim.tenant_id for item in ordered],
            [item.claim.seq for item in ordered],
            [item.claim.token for item in ordered],
            [item.result for item in ordered],
        ]

    async def complete(self, plain: Sequence[Settlement]) -> Settled:
        """Plain settlements alone."""
        rows = await self._database.rows("complete_attempts", self._database.now, *self.columns(plain))
        return await self.told_apart(plain, len(rows))

    async def told_apart(self, plain: Sequence[Settlement], ended: int) -> Settled:
        """Which of plain settlements were written, of which ``ended`` were."""
        if ended == len(plain):
            return Settled(finished=[item.claim.seq for item in plain])
        # Rare, and a count does not say which.
        tenants, seqs, claims, _ = self.columns(plain)
        written = {row["seq"] for row in await self._database.rows("were_completed", tenants, seqs, claims)}
        return Settled(
            [item.claim for item in plain if item.claim.seq not in written],
            [item.claim.seq for item in plain if item.claim.seq in written],
        )

    async def settle(self, items: Sequence[Settlement]) -> Settled:
        """Settlements of every kind, in one transaction."""
        for item in items:
            if not legal("running", item.state):
                raise InvalidTask(f"a running run can't become {item.state}: see engine/states.py")
        if not self._configuration.quotas and all(_is_simple(item) for item in items):
            return await self._database.retried(lambda work: self._complete_limited(work, items))
        ordered = sorted(items, key=lambda item: locking_order(item.claim))
        return await self._database.retried(lambda work: self._settle(work, ordered))

    async def _complete_limited(self, work: Work, items: Sequence[Settlement]) -> Settled:
        """Plain settlements that give slots back."""
        rows = await work.rows("complete_attempts", self._database.now, *self.columns(items))
        landed = {row["seq"] for row in rows}
        written = [item for item in items if item.claim.seq in landed]
        freed = Counter((item.claim.tenant_id, item.claim.slots) for item in written)
        slots: dict[tuple[str, str], int] = {}
        for (tenant_id, keys), count in freed.items():
            for key in json.loads(keys or "[]"):
                slots[tenant_id, key] = slots.get((tenant_id, key), 0) + count
        return Settled(
            [item.claim for item in items if item.claim.seq not in landed],
            [item.claim.seq for item in written],
            await self._limits.free(work, slots),
        )

    async def _settle(self, work: Work, items: Sequence[Settlement]) -> Settled:
        settled = Settled()
        landed: set[RunKey] = set()
        ends = [item.claim for item in items if item.claim.order_key is not None]
        await self._endings.lines.lock(work, [(claim.tenant_id, claim.order_key) for claim in ends])
        items, woken = await self._judged(work, items)
        ending = [item for item in items if item.state in FINAL]
        going_on = [item for item in items if item.state not in FINAL]
        if ending:
            rows = [
                (*item.claim.key, item.claim.token, item.state, item.attempt, item.result, item.error)
                for item in ending
            ]
            ended = await work.rows("end_attempts", self._database.now, *zip(*rows, strict=True))
            landed |= {RunKey(row["tenant_id"], row["seq"]) for row in ended}
        if going_on:
            columns = zip(*[self._suspended(item) for item in going_on], strict=True)
            suspended = await work.rows("suspend_attempts", *columns)
            landed |= {RunKey(row["tenant_id"], row["seq"]) for row in suspended}
        written = [item for item in items if item.claim.key in landed]
        settled.stale = [item.claim for item in items if item.claim.key not in landed]
        settled.finished = [item.claim.seq for item in written if item.state in FINAL]
        await self._journal(work, written)
        slots: dict[tuple[str, str], int] = {}
        for item in written:
            if item.claim.slots is not None:
                kept = json.loads(item.kept_slots) if item.kept_slots else ()
                for key in json.loads(item.claim.slots):
                    if key not in kept:
                        mark = (item.claim.tenant_id, key)
                        slots[mark] = slots.get(mark, 0) + 1
        over = [item.claim for item in written if item.state in FINAL]
        settled.made_ready = await self._endings.families.ended(work, [_ended(item) for item in written])
        settled.made_ready += await self._readied(work, [item for item in written if item.claim.key in woken])
        settled.made_ready += await self._endings.lines.advance(work, [(one.tenant_id, one.order_key) for one in over])
        settled.made_ready += await self._limits.free(work, slots)
        settled.made_ready += sum(item.state == "queued" for item in written)
        await give_back_settled(work, self._configuration, [item for item in written if item.state in FINAL])
        settled.first_due = min((item.due_at for item in written if item.due_at is not None), default=None)
        return settled

    async def _judged(self, work: Work, items: Sequence[Settlement]) -> tuple[Sequence[Settlement], frozenset[RunKey]]:
        """The settlements as what happened meanwhile has changed them, and runs that what they wait for has come for."""
        going_on = [item for item in items if item.state not in FINAL]
        callers = [
            RunKey(item.claim.tenant_id, item.claim.parent_seq)
            for item in items
            if item.state in FINAL and item.claim.parent_seq is not None
        ]
        if not going_on and not callers:
            return items, frozenset()
        keys = youngest_first([*(item.claim.key for item in items), *callers])
        rows = await work.rows("lock_attempts", *zip(*keys, strict=True))
        found = {RunKey(row["tenant_id"], row["seq"]): row for row in rows if row["state"] == "running"}
        judged: list[Settlement] = []
        woken: set[RunKey] = set()
        for item in items:
            row = found.get(item.claim.key)
            undone = item.failing is not None or item.claim.failing is not None
            if row is None or row["claim"] != item.claim.token or item.state in FINAL:
                judged.append(item)
            elif row["cancel_asked"] and not undone:
                # Asked to stop, it failed, slept or was put back instead. It must not start again, unless to be undone.
                judged.append(cancelled_instead(item))
            elif row["woken"] and item.state == "waiting":
                judged.append(item._replace(due_at=None))
                woken.add(item.claim.key)
            else:
                judged.append(item)
        return judged, frozenset(woken)

    async def _readied(self, work: Work, items: Sequence[Settlement]) -> int:
        """Let runs go on that would wait for what is there already."""
        runs = [Waiting(*item.claim.key, item.claim.queue, item.claim.lane) for item in items]
        await make_ready(work, self._placing, self._configuration, runs)
        return len(runs)

    def _suspended(self, item: Settlement) -> tuple[object, ...]:
        held_by, vstart, moved_for = item.held_by, None, 0
        claim = item.claim
        if item.state == "queued" and held_by is None:
            held_by = self._configuration.hold_of(claim.tenant_id)
            vstart = self._placing.give(claim.queue, claim.tenant_id, claim.lane)
            moved_for = EVERY_JUMP
        return (
            *claim.key, claim.token, item.state, item.attempt, item.error, item.due_at, held_by, vstart, item.kept_slots,
            moved_for, item.failing,
        )  # fmt: skip

    async def _journal(self, work: Work, written: Sequence[Settlement]) -> None:
        attempts = [
            (*item.claim.key, item.claim.token, item.claim.attempt, item.outcome, item.error)
            for item in written
            if item.outcome
        ]
        if attempts:
            await work.run("insert_attempts", self._database.now, *zip(*attempts, strict=True))
        lines = [
            (*item.claim.key, item.claim.attempt, number, *line)
            for item in written
            for number, line in enumerate(item.log, 1)
        ]
        if lines:
            await work.run("append_lines", *zip(*lines, strict=True))


def _ended(item: Settlement) -> Ended:
    claim = item.claim
    parent_seq = claim.parent_seq if item.state in FINAL else None
    return Ended(
        claim.tenant_id, claim.seq, claim.nonce, parent_seq, claim.parent_step, item.state, item.result, item.error
    )
