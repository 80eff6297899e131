"""Forgetting budgets of field values nobody draws on any more: there may be one for each order there ever was.

A budget is locked before it is looked at for the last time, as a claim locks it to count in it: a claim that comes meanwhile waits,
finds it gone and makes it anew. So nothing that was counted within a window is ever forgotten.
"""

from __future__ import annotations

from cgk_jobs.engine.budgets import window_of
from cgk_jobs.engine.postgres.database import Database, Work

__all__ = ["IdleLimits"]

_AT_ONCE = 1_000
_ROUNDS = 10
"""Portions looked at in one call, while most of what they had was forgotten."""


class IdleLimits:
    """Walks through all budgets, a portion at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reached = ("", "")

    async def forget(self) -> int:
        """Forget idle budgets among the next; returns how many."""
        total = 0
        for _ in range(_ROUNDS):
            rows = await self._database.rows("walk_limits", *self._reached, _AT_ONCE)
            self._reached = (rows[-1]["tenant_id"], rows[-1]["key"]) if len(rows) == _AT_ONCE else ("", "")
            windows = {
                (row["tenant_id"], row["key"]): micros
                for row in rows
                if row["idle"] and (micros := window_of(row["key"])) is not None
            }
            removed = await self._remove(windows) if windows else 0
            total += removed
            if removed < _AT_ONCE / 2:
                break
        return total

    async def _remove(self, windows: dict[tuple[str, str], int]) -> int:
        now = self._database.now

        async def verb(work: Work) -> int:
            wanted = [(*key, micros) for key, micros in sorted(windows.items())]
            rows = await work.rows("lock_idle_limits", now, *zip(*wanted, strict=True))
            idle = [(row["tenant_id"], row["key"]) for row in rows]
            if not idle:
                return 0
            columns = zip(*[(*key, windows[key]) for key in idle], strict=True)
            gone = [(row["tenant_id"], row["key"]) for row in await work.rows("remove_idle_limits", now, *columns)]
            if gone:
                await work.run("remove_starts", *zip(*gone, strict=True))
            return len(gone)

        return await self._database.retried(verb)
