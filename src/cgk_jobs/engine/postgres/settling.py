"""Writing how attempts ended, each under its fence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from cgk_jobs.engine.flow import cancelled_instead
from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.postgres.endings import Endings
from cgk_jobs.engine.postgres.limits import LimitBook
from cgk_jobs.engine.postgres.placing import Placing
from cgk_jobs.engine.postgres.quotas import give_back_settled
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
    claim = item.claim
    return (
        item.state == "completed"
        and not item.log
        and claim.slots is None
        and claim.parent_seq is None
        and claim.order_key is None
    )


class Settling:
    """Settles attempts in one transaction, rows in the order of their keys so that bulk writers never wait in a circle."""

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
        """Tenants, numbers, claims and results of plain settlements, in the order of their keys."""
        ordered = sorted(plain, key=lambda item: item.claim.key)
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
        ordered = sorted(items, key=lambda item: item.claim.key)
        return await self._database.retried(lambda work: self._settle(work, ordered))

    async def _settle(self, work: Work, items: Sequence[Settlement]) -> Settled:
        settled = Settled()
        landed: set[RunKey] = set()
        ends = [item.claim for item in items if item.claim.order_key is not None]
        await self._endings.lines.lock(work, [(claim.tenant_id, claim.order_key) for claim in ends])
        items = await self._stopped(work, items)
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
        settled.made_ready = await self._endings.lines.advance(work, [(one.tenant_id, one.order_key) for one in over])
        settled.made_ready += await self._limits.free(work, slots)
        settled.made_ready += sum(item.state == "queued" for item in written)
        await give_back_settled(work, self._configuration, [item for item in written if item.state in FINAL])
        settled.first_due = min((item.due_at for item in written if item.due_at is not None), default=None)
        return settled

    async def _stopped(self, work: Work, items: Sequence[Settlement]) -> list[Settlement]:
        """Asked to stop, they failed, slept or were put back instead: they must not start again, unless to be undone."""
        going_on = [
            item.claim
            for item in items
            if item.state not in FINAL and item.failing is None and item.claim.failing is None
        ]
        if not going_on:
            return list(items)
        columns = zip(*[(*claim.key, claim.token) for claim in going_on], strict=True)
        asked = {
            RunKey(row["tenant_id"], row["seq"])
            for row in await work.rows("asked_to_cancel", *columns)
            if row["cancel_asked"]
        }
        return [
            cancelled_instead(item) if item.claim.key in asked and item.claim in going_on else item for item in items
        ]

    def _suspended(self, item: Settlement) -> tuple[object, ...]:
        held_by, vstart, moved_for = item.held_by, None, 0
        claim = item.claim
        if item.state == "queued" and held_by is None:
            held_by = self._configuration.hold_of(claim.tenant_id)
            vstart, _ = self._placing.place(claim.queue, claim.tenant_id, claim.lane)
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
