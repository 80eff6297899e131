"""The order in which rows of runs are locked, the same for everybody, so that no two transactions wait for each other.

1. Advisory locks of keys and lines (``lines.py``), then of awaited events (``waits.py``), each in the order of their numbers.
2. Runs, youngest first within a tenant: a run is younger than the one that called it, so children come before parents, and
   what a child's end does to its parent follows the same order.
3. Rows of a run's journal: under the lock of the run's row, as long as it has not ended.
4. Limits by key, then counters of quotas: of a send too, unless it makes plain runs, which are nobody's to lock yet.

Wake-ups are locked by no transaction that locks any of these: their order is in ``wakeups.py``.

Rows that are found by looking (what is due, ready or parked) are taken with SKIP LOCKED instead, and wait for nobody. Where the
order can't be kept (a run retried while its last child ends, several events of one send that each replace a run), PostgreSQL
ends the circle, and the transaction is done again.
"""

from __future__ import annotations

from collections.abc import Iterable

from cgk_jobs.engine.records import Claim, RunKey

__all__ = ["locking_order", "youngest_first"]


def locking_order(run: RunKey | Claim) -> tuple[str, int]:
    """What runs are sorted by before their rows are locked."""
    return run.tenant_id, -run.seq


def youngest_first(keys: Iterable[RunKey]) -> list[RunKey]:
    """The runs, each once, in the order in which their rows are locked."""
    return sorted(set(keys), key=locking_order)
