"""Working off what is due within a budget of time: for hosts that run the application only while it answers a call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cgk_jobs.clock import monotonic
from cgk_jobs.engine.worker import Worker

__all__ = ["drain"]

LAST_START = 0.8
"""The part of the budget after which no attempt is begun any more: those under way are to end within the rest."""


async def drain(worker: Worker, queues: Sequence[str], budget: float) -> int:
    """Claim and execute runs of ``queues`` for ``budget`` seconds, or until none are ready; returns how many attempts began.

    What has not ended by then goes on as long as the host lets it, and is another worker's once its lease is over.
    """
    before = worker.started
    ends_at = monotonic() + budget
    last_start = monotonic() + LAST_START * budget

    async def work(queue: str) -> None:
        while monotonic() < last_start and await worker.claim_one(queue) is not None:
            continue

    if worker.claims_by_itself:
        worker.wake()
        return 0
    share = max(worker.concurrency // max(len(queues), 1), 1)
    workers = [asyncio.create_task(work(queue), name="cgk-jobs-drain") for queue in queues for _ in range(share)]
    if workers:
        _, left = await asyncio.wait(workers, timeout=max(ends_at - monotonic(), 0))
        for task in left:
            task.cancel()  # the attempt itself goes on: only the waiting for it ends
        await asyncio.gather(*left, return_exceptions=True)
    return worker.started - before
