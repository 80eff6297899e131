"""Claiming runs: the fast way in one statement with the settlements, the careful way where limits or priorities count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cgk_jobs.clock import monotonic
from cgk_jobs.engine.budgets import Draw, by_payload, draws_of
from cgk_jobs.engine.holds import unknown_task_hold
from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.postgres.endings import Endings
from cgk_jobs.engine.postgres.limits import LimitBook
from cgk_jobs.engine.postgres.placing import Placing
from cgk_jobs.engine.postgres.sweeps import Sweeps
from cgk_jobs.engine.records import Appetite, Claim, RunKey

__all__ = ["Claimed", "Claiming", "StaleSettings"]

_LOOKED_AT = 4
"""Times the wanted number of runs a claim looks at: what it parks on the way must not hold the transaction open."""
_CAREFUL_FOR = 1.0
"""Seconds a queue is claimed from carefully after a run in it asked for care."""
_SLOTS = Claim._fields.index("slots")
_FRONT = (-(1 << 31), float("-inf"))


class StaleSettings(Exception):
    """The settings in memory are not the ledger's."""


@dataclass(slots=True)
class Claimed:
    """New claims, runs found expired, and whether ready runs may be left."""

    claims: list[Claim] = field(default_factory=list[Claim])
    expired: list[int] = field(default_factory=list[int])
    more: bool = False


class Claiming:
    """Hands out claims of one process."""

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
        self._careful_until: dict[str, float] = {}
        self._sweeps = Sweeps()

    def needs_care(self, queue: str) -> bool:
        """The last looks met runs with limits or priorities."""
        return self._careful_until.get(queue, 0.0) > monotonic()

    # -- the fast way ------------------------------------------------------------------------------------------------

    async def exchange(
        self, columns: Sequence[Any], worker: int, queue: str, wanted: int, appetite: Appetite
    ) -> tuple[int, Claimed]:
        """One statement: settlements of ``columns``, and claims of what needs no care. Returns how many were settled.

        Raises ``StaleSettings`` with the number settled, once they are.
        """
        rank, floor = front = self._front(queue)
        version = self._configuration.version
        plain = [task for task, budgets in appetite.tasks.items() if budgets is None]
        begun = monotonic()
        rows = await self._database.rows(
            "exchange", *columns, self._database.now, version, worker, queue, rank, floor, wanted, plain,
            self._configuration.limited_tenants,
        )  # fmt: skip
        first = rows[0]
        ended, candidates = first["ended"], first["candidates"]
        if front == _FRONT:
            now = monotonic()
            self._sweeps.swept(queue, now, now - begun, ended + candidates)
        if first["version"] != version:
            raise StaleSettings(ended)
        claims = [Claim(*row[4:27]) for row in rows] if first["seq"] is not None else []
        if claims:
            self._placing.advance(queue, claims[-1].vstart)
        found = Claimed(claims, more=candidates >= wanted)
        if first["jumps"] or candidates > len(claims):
            self._careful_until[queue] = monotonic() + _CAREFUL_FOR
            rest = await self.look_carefully(worker, queue, wanted - len(claims), appetite)
            together = claims + rest.claims
            if queue not in self._configuration.urgent_queues:
                together.sort(key=_vstart)
            return ended, Claimed(together, rest.expired, rest.more)
        self._sweeps.filled(queue, candidates >= wanted)
        if candidates < wanted and front != _FRONT and self._front(queue) == _FRONT:
            # Short, and the front was left out.
            return ended, await self._again(found, worker, queue, wanted - len(claims), appetite)
        return ended, found

    async def _again(self, found: Claimed, worker: int, queue: str, wanted: int, appetite: Appetite) -> Claimed:
        _, rest = await self.exchange(((), (), (), ()), worker, queue, wanted, appetite)
        return Claimed(found.claims + rest.claims, rest.expired, rest.more)

    def _front(self, queue: str) -> tuple[int, float]:
        """Rank and virtual time at which the next claim begins to search."""
        if queue in self._configuration.urgent_queues or self._sweeps.is_due(queue, monotonic()):
            return _FRONT
        floor = self._placing.floor(queue)
        return (0, floor) if floor > 0 else _FRONT

    # -- the careful way ---------------------------------------------------------------------------------------------

    async def look_carefully(self, worker: int, queue: str, wanted: int, appetite: Appetite) -> Claimed:
        """Claims under limits and priorities, in a transaction of several statements."""
        if wanted <= 0:
            return Claimed(more=True)
        found, last = await self._database.retried(lambda work: self._look(work, worker, queue, wanted, appetite))
        if last is not None:
            self._placing.advance(queue, last)
        return found

    async def _look(
        self, work: Work, worker: int, queue: str, wanted: int, appetite: Appetite
    ) -> tuple[Claimed, float | None]:
        found = Claimed()
        looked_at = 0
        last: float | None = None
        cared = False
        while len(found.claims) < wanted:
            count = wanted - len(found.claims)
            version = self._configuration.version
            rows = await work.rows("lock_ready", queue, count, worker, version, self._database.now)
            if not rows and await work.value("settings_version") != version:
                raise StaleSettings(0)
            taken, needed_care = await self._take(work, worker, rows, appetite, found)
            cared = cared or needed_care
            if taken:
                last = taken[-1].vstart
                found.claims += taken
            looked_at += len(rows)
            if len(rows) < count:
                if not looked_at:
                    await work.run("forget_jumps", queue)
                break
            if looked_at >= _LOOKED_AT * wanted:
                found.more = True
                break
        else:
            found.more = True
        if cared:
            self._careful_until[queue] = monotonic() + _CAREFUL_FOR
        return found, last

    async def _take(
        self, work: Work, worker: int, rows: Sequence[Any], appetite: Appetite, found: Claimed
    ) -> tuple[list[Claim], bool]:
        claims: list[Claim] = []
        draws: list[list[Draw]] = []
        parked: list[tuple[str, int, str]] = []
        moved: list[tuple[str, int, float]] = []
        expired: list[RunKey] = []
        shared: dict[tuple[str, str], list[Draw]] = {}
        for row in rows:
            claim = Claim(*row[:23])
            now: int = row["now"]
            if claim.expires_at is not None and claim.expires_at <= now:
                expired.append(claim.key)
            elif row["owed"] > 0:
                moved.append((claim.tenant_id, claim.seq, claim.vstart + row["owed"]))
            elif claim.task not in appetite.tasks:
                parked.append((claim.tenant_id, claim.seq, unknown_task_hold(claim.task)))
            elif (hold := self._configuration.hold_of(claim.tenant_id)) is not None:
                # Sent or put back by a process that had not heard of the pause yet.
                parked.append((claim.tenant_id, claim.seq, hold))
            else:
                wanted = self._draws(claim, appetite, shared)
                if claim.slots is not None:
                    held = json.loads(claim.slots)
                    wanted = [draw for draw in wanted if draw.key not in held]
                claims.append(claim)
                draws.append(wanted)
        needed_care = bool(moved) or any(draws)
        if any(draws):
            claims, over = await self._admit(work, claims, draws, rows[0]["now"])
            parked += over
        if expired:
            await self._endings.finish(work, expired, "expired", self._database.now)
            found.expired += [key.seq for key in expired]
        if moved:
            await work.run("move_back", *zip(*sorted(moved), strict=True))
        if parked:
            await work.run("park_runs", *zip(*sorted(parked), strict=True))
        if claims:
            taking = sorted((claim.tenant_id, claim.seq, claim.slots) for claim in claims)
            await work.run("take_runs", worker, self._database.now, *zip(*taking, strict=True))
        return claims, needed_care

    def _draws(self, claim: Claim, appetite: Appetite, shared: dict[tuple[str, str], list[Draw]]) -> list[Draw]:
        """What the run draws on; ``shared`` keeps it for the other runs of its task and tenant."""
        mark = (claim.task, claim.tenant_id)
        wanted = shared.get(mark)
        if wanted is None:
            budgets = appetite.tasks[claim.task]
            wanted = draws_of(claim, budgets, self._configuration.tenants.get(claim.tenant_id))
            if not by_payload(budgets):
                shared[mark] = wanted
        return wanted

    async def _admit(
        self, work: Work, claims: Sequence[Claim], draws: Sequence[list[Draw]], now: int
    ) -> tuple[list[Claim], list[tuple[str, int, str]]]:
        admitted: list[Claim] = []
        parked: list[tuple[str, int, str]] = []
        answers = await self._limits.admit(work, draws, now)
        slots: dict[int, str | None] = {}
        for claim, wanted, blocked in zip(claims, draws, answers, strict=True):
            if blocked is not None:
                parked.append((claim.tenant_id, claim.seq, blocked))
                continue
            if claim.slots is not None:
                text = _slots(json.loads(claim.slots), wanted)
            elif id(wanted) in slots:
                text = slots[id(wanted)]
            else:
                text = slots[id(wanted)] = _slots([], wanted)
            admitted.append(Claim._make((*claim[:_SLOTS], text, *claim[_SLOTS + 1 :])))
        return admitted, parked


def _slots(held: list[str], wanted: Sequence[Draw]) -> str | None:
    """The keys a run counts for once it is admitted, as its row and its claim have them."""
    keys = held + [draw.key for draw in wanted if not draw.micros]
    return json.dumps(keys) if keys else None


def _vstart(claim: Claim) -> float:
    return claim.vstart
