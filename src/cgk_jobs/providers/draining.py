"""Working off what is due within a budget of time: for hosts that run the application only while it answers a call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cgk_jobs.clock import monotonic
from cgk_jobs.engine.worker import Worker

__all__ = ["LAST_START", "drain"]

LAST_START = 0.8
"""The part of the budget after which no attempt is begun any more: those under way are to end within the rest."""
DEAF_FOR = 5.0
"""Seconds an attempt that was ended may take to end."""


async def drain(worker: Worker, queues: Sequence[str], budget: float, *, put_back: bool = False) -> int:
    """Claim and execute runs of ``queues`` for ``budget`` seconds, or until none are ready; returns how many attempts began.

    What has not ended by then is put back, no attempt spent, if the host puts the process to sleep (``put_back``). Else it
    goes on.
    """
    before = worker.started
    ends_at = monotonic() + budget
    last_start = monotonic() + LAST_START * budget

    async def work(queue: str) -> None:
        while monotonic() < last_start:
            if await worker.claim_one(queue, until=ends_at if put_back else None) is None:
                return

    if worker.claims_by_itself:
        worker.wake()
        return 0
    share = max(worker.concurrency // max(len(queues), 1), 1)
    while True:
        began = worker.started
        workers = [asyncio.create_task(work(queue), name="cgk-jobs-drain") for queue in queues for _ in range(share)]
        patience = max(ends_at - monotonic(), 0) + (DEAF_FOR if put_back else 0)
        _, left = await asyncio.wait(workers, timeout=patience)
        for task in left:
            task.cancel()  # the attempt itself goes on: only the waiting for it ends
        await asyncio.gather(*left, return_exceptions=True)
        # A run of one queue may have made others of a queue in which there was nothing any more.
        if left or worker.started == began or monotonic() >= last_start:
            return worker.started - before
