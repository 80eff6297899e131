"""What follows when runs end, whoever ends them, in the same transaction: slots and quotas come back, lines move up.

The order of locks: lines, runs in the order of their keys, limits, quotas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Work
from cgk_jobs.engine.postgres.limits import LimitBook, slots_of
from cgk_jobs.engine.postgres.lines import Lines
from cgk_jobs.engine.postgres.placing import Placing
from cgk_jobs.engine.postgres.quotas import give_back
from cgk_jobs.engine.records import RunKey

__all__ = ["Endings"]


class Endings:
    """Ends runs that nobody runs, and does what follows for all that end."""

    def __init__(self, configuration: Configuration, placing: Placing, limits: LimitBook) -> None:
        self._configuration = configuration
        self._limits = limits
        self.lines = Lines(placing, configuration)

    async def finish(
        self, work: Work, keys: Sequence[RunKey], state: str, now: int | None, error: str | None = None
    ) -> int:
        """End runs whose rows the caller holds; returns how many others could start then. ``error``: why they ended."""
        if not keys:
            return 0
        ordered = sorted(keys)
        ended = await work.rows("finish_runs", *zip(*ordered, strict=True), [state] * len(ordered), now, error)
        made_ready = await self.lines.advance(work, [(row["tenant_id"], row["order_key"]) for row in ended])
        made_ready += await self._limits.free(work, slots_of(ended))
        await self._give_back(work, ended)
        return made_ready

    async def _give_back(self, work: Work, ended: Sequence[Any]) -> None:
        await give_back(work, self._configuration, [(row["tenant_id"], row["payload_bytes"]) for row in ended])
