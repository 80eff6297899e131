"""What follows when runs end, whoever ends them, in the same transaction: callers are told, slots and quotas come back, lines
move up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Work
from cgk_jobs.engine.postgres.families import HOLD, Ended, Families
from cgk_jobs.engine.postgres.limits import LimitBook, slots_of
from cgk_jobs.engine.postgres.lines import Lines
from cgk_jobs.engine.postgres.locking import youngest_first
from cgk_jobs.engine.postgres.placing import Placing
from cgk_jobs.engine.postgres.quotas import give_back
from cgk_jobs.engine.records import RunKey

__all__ = ["Endings"]


class Endings:
    """Ends runs that nobody runs, and does what follows for all that end. Locks are taken as ``locking.py`` says."""

    def __init__(self, configuration: Configuration, placing: Placing, limits: LimitBook) -> None:
        self._configuration = configuration
        self._limits = limits
        self.families = Families(configuration, placing)
        self.lines = Lines(placing, configuration)

    async def finish(
        self, work: Work, keys: Sequence[RunKey], state: str, now: int | None, error: str | None = None
    ) -> int:
        """End runs whose rows the caller holds; returns how many others became ready by that. ``error``: why they ended."""
        if not keys:
            return 0
        ordered = youngest_first(keys)
        ended = await work.rows("finish_runs", *zip(*ordered, strict=True), [state] * len(ordered), now, error)
        made_ready = await self.families.ended(work, [_ended(row) for row in ended])
        made_ready += await self.lines.advance(work, [(row["tenant_id"], row["order_key"]) for row in ended])
        made_ready += await self._limits.free(work, slots_of(ended))
        await give_back(work, self._configuration, [(row["tenant_id"], row["payload_bytes"]) for row in ended])
        return made_ready


def _ended(row: Any) -> Ended:
    held = (row["held_by"] or "").startswith(HOLD)
    return Ended(
        row["tenant_id"], row["seq"], row["nonce"], row["parent_seq"], row["parent_step"], row["state"], None, row["error"],
        held,
    )  # fmt: skip
