"""Limits and rates: counted under the lock of their row, in the transaction of the claim, so never exceeded at any instant.

Only runs that have a limit touch these tables. A claim locks the budgets of all its runs at once, in the order of their
keys, decides in memory and writes back in one statement. A run over a limit is parked, once: claims don't see it any more,
and the settlement that frees a slot makes the next one ready.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cgk_jobs.engine.budgets import Draw, owner_of
from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Work
from cgk_jobs.engine.postgres.placing import Placing
from cgk_jobs.engine.postgres.readying import release

__all__ = ["LimitBook", "slots_of"]

SECOND = 1_000_000


class _Budget:
    __slots__ = ("changed", "draw", "parked", "ring", "starts", "used", "wake_at")

    def __init__(self, draw: Draw, used: int, starts: int) -> None:
        self.draw = draw
        self.used = used
        self.starts = starts
        self.parked = False
        self.wake_at: int | None = None
        self.ring: dict[int, int] = {}
        self.changed: set[int] = set()

    def refuses(self, now: int) -> bool:
        """Whether nobody may start now; notes then that somebody waits."""
        if self.draw.micros:
            oldest = self.ring.get(self.starts % self.draw.n)
            if oldest is None or oldest <= now - self.draw.micros:
                return False
            self.wake_at = oldest + self.draw.micros
        elif self.used < self.draw.n:
            return False
        self.parked = True
        return True

    def count(self, now: int) -> None:
        if self.draw.micros:
            place = self.starts % self.draw.n
            self.ring[place] = now
            self.changed.add(place)
            self.starts += 1
        else:
            self.used += 1


class LimitBook:
    """The counters. Every method works in the transaction of its caller."""

    def __init__(self, placing: Placing, configuration: Configuration) -> None:
        self._placing = placing
        self._configuration = configuration

    async def admit(self, work: Work, wanted: Sequence[Sequence[Draw]], now: int) -> list[str | None]:
        """For each run's draws, in order: count its start in every budget and answer ``None``, or answer the key that is used up."""
        budgets = await self._lock(work, wanted)
        answers: list[str | None] = []
        for draws in wanted:
            blocked = next((draw.key for draw in draws if budgets[draw.key].refuses(now)), None)
            if blocked is None:
                for draw in draws:
                    budgets[draw.key].count(now)
            answers.append(blocked)
        await self._write(work, budgets.values())
        return answers

    async def _lock(self, work: Work, wanted: Sequence[Sequence[Draw]]) -> dict[str, _Budget]:
        # Runs of one task and tenant share one list: hundreds of runs have few.
        draws = {draw.key: draw for run in {id(run): run for run in wanted}.values() for draw in run}
        keys = sorted(draws)
        owners = [draws[key].tenant_id for key in keys]
        rows = await work.rows("lock_limits", owners, keys)
        while len(rows) < len(keys):
            # One that is there for this statement may be forgotten (idle_limits.py) before the next.
            await work.run("add_limits", owners, keys, [draws[key].n for key in keys])
            rows = await work.rows("lock_limits", owners, keys)
        budgets = {row["key"]: _Budget(draws[row["key"]], row["used"], row["starts"]) for row in rows}
        for row in rows:
            draw = draws[row["key"]]
            if row["capacity"] != draw.n and draw.micros:
                await self._resize(work, draw, row["starts"])
        if any(draw.micros for draw in draws.values()):
            await self._read_rings(work, budgets, wanted)
        return budgets

    async def _read_rings(self, work: Work, budgets: Mapping[str, _Budget], wanted: Sequence[Sequence[Draw]]) -> None:
        starts: dict[str, int] = {}
        for run in wanted:
            for draw in run:
                if draw.micros:
                    starts[draw.key] = starts.get(draw.key, 0) + 1
        places = [
            (budgets[key].draw.tenant_id, key, (budgets[key].starts + offset) % budgets[key].draw.n)
            for key, count in starts.items()
            # One more than may start: it says when the next one may.
            for offset in range(min(count + 1, budgets[key].draw.n))
        ]
        if places:
            for row in await work.rows("read_some_starts", *zip(*places, strict=True)):
                budgets[row["key"]].ring[row["place"]] = row["at"]

    async def _resize(self, work: Work, draw: Draw, starts: int) -> None:
        # Declared anew with another number: the newest starts, laid so that the place written next is the oldest.
        recent = [row["at"] for row in await work.rows("list_starts", draw.tenant_id, draw.key, draw.n)]
        await work.run("forget_starts", draw.tenant_id, draw.key)
        padded = [0] * (draw.n - len(recent)) + recent[::-1]
        ring = [(draw.tenant_id, draw.key, (starts + offset) % draw.n, at) for offset, at in enumerate(padded) if at]
        if ring:
            await work.run("write_starts", *zip(*ring, strict=True))

    async def _write(self, work: Work, budgets: Iterable[_Budget]) -> None:
        rows = [
            (one.draw.tenant_id, one.draw.key, one.draw.n, one.used, one.starts, one.parked, one.wake_at)
            for one in budgets
        ]
        if rows:
            await work.run("write_limits", *zip(*rows, strict=True))
        ring = [
            (one.draw.tenant_id, one.draw.key, place, one.ring[place])
            for one in budgets
            for place in sorted(one.changed)
        ]
        if ring:
            await work.run("write_starts", *zip(*ring, strict=True))

    async def free(self, work: Work, slots: Mapping[tuple[str, str], int]) -> int:
        """Give slots back: ``slots`` counts them by tenant of the run and key. Returns how many parked runs became ready."""
        if not slots:
            return 0
        rows = sorted((key, owner_of(key, tenant_id), count) for (tenant_id, key), count in slots.items())
        merged: dict[tuple[str, str], int] = {}
        for key, owner, count in rows:
            merged[key, owner] = merged.get((key, owner), 0) + count
        columns = [[owner for _, owner in merged], [key for key, _ in merged], list(merged.values())]
        released = 0
        for row in await work.rows("free_limits", *columns):
            if row["parked"]:
                released += await self._release(work, row["key"], row["tenant_id"], min(row["free"], row["count"]))
        return released

    async def wake(self, work: Work, now: int) -> int:
        """Make ready what rates allow again; returns how many runs."""
        total = 0
        for row in await work.rows("limits_due", now):
            released = await self._release(work, row["key"], row["tenant_id"], row["capacity"] + 1)
            total += released
            if released:
                # One more than can start: it is parked again, and then says when to look next. Should another limit park
                # it, or no worker look at it, those left here are looked at again in a second.
                again = now + SECOND if released > row["capacity"] else None
                await work.run("wake_limit_at", row["key"], row["tenant_id"], again)
        return total

    async def sweep(self, work: Work) -> int:
        """Make ready what a raised limit or a cancelled run left parked beside a free slot; returns how many runs."""
        rows = await work.rows("free_limits_with_parked")
        return sum([await self._release(work, row["key"], row["tenant_id"], row["free"]) for row in rows])

    async def _release(self, work: Work, key: str, tenant_id: str, count: int) -> int:
        if count <= 0:
            return 0
        released = await release(work, self._placing, self._configuration, key, count)
        if released < count:
            await work.run("unmark_limits", key, tenant_id)
        return released


def slots_of(rows: Iterable[Any]) -> dict[tuple[str, str], int]:
    """How many slots rows with ``tenant_id`` and ``slots`` hold, by tenant and key."""
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        for key in json.loads(row["slots"] or "[]"):
            mark = (row["tenant_id"], key)
            counts[mark] = counts.get(mark, 0) + 1
    return counts
