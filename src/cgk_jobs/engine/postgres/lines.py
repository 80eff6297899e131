"""Runs in order: of each line one run is ahead, the others are parked behind it until it has ended.

Whoever sends into a line, ends its head or starts one of it again takes the line's lock first, before any row, so that of
two that look who is ahead the second sees what the first has done.
"""

from __future__ import annotations

from collections.abc import Iterable

from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Work
from cgk_jobs.engine.postgres.placing import Placing
from cgk_jobs.engine.postgres.readying import Waiting, make_ready

__all__ = ["Lines", "flow_lock", "line_lock", "lock_keys"]

_BUCKETS = 512
"""Locks that stand for all keys: a server has some thousands for all its transactions, and a batch may have many keys."""


async def lock_keys(work: Work, names: Iterable[str]) -> None:
    """Take the locks of keys until the transaction ends, all in one order. Transaction-scoped: they hold behind a pooler."""
    wanted = sorted(set(names))
    if wanted:
        await work.rows("lock_keys", wanted, _BUCKETS)


class Lines:
    """The lines of all tenants. A run's place is its number, so a run retried by hand is before those sent after it."""

    def __init__(self, placing: Placing, configuration: Configuration) -> None:
        self._placing = placing
        self._configuration = configuration

    async def lock(self, work: Work, lines: Iterable[tuple[str, str | None]]) -> None:
        """Take the locks of lines (tenant and key; ``None`` for a run in none) before the rows of their runs."""
        await lock_keys(work, [line_lock(tenant_id, key) for tenant_id, key in lines if key is not None])

    async def is_held(self, work: Work, tenant_id: str, order_key: str) -> bool:
        """Whether a run of this line is ahead: queued, running, waiting or between attempts. The caller has its lock."""
        return await work.row("is_line_held", tenant_id, order_key) is not None

    async def advance(self, work: Work, lines: Iterable[tuple[str, str | None]]) -> int:
        """Runs of these lines have ended: make the next of each ready, unless another is ahead. Returns how many are.

        An ended one may itself have stood in line.
        """
        wanted = sorted({(tenant_id, key) for tenant_id, key in lines if key is not None})
        if not wanted:
            return 0
        await self.lock(work, wanted)
        rows = await work.rows("next_in_lines", *zip(*wanted, strict=True))
        runs = [Waiting(row["tenant_id"], row["seq"], row["queue"], row["lane"]) for row in rows]
        await make_ready(work, self._placing, self._configuration, runs)
        return len(runs)


def line_lock(tenant_id: str, order_key: str) -> str:
    """The name of a line's lock."""
    return f"{tenant_id} order {order_key}"


def flow_lock(tenant_id: str, key: str) -> str:
    """The name of the lock of a key that runs share, or of a throttle's."""
    return f"{tenant_id} flow {key}"
