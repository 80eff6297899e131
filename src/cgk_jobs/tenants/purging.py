"""Purging a tenant: close it to sends, let its running attempts end, delete, forget.

Each step can be repeated, and the tenant stays closed until the last one: a purge that was interrupted is run again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

from cgk_jobs.clock import monotonic
from cgk_jobs.engine.reads import RunFilter
from cgk_jobs.engine.records import RunKey, TenantRecord
from cgk_jobs.engine.store import Store
from cgk_jobs.tenants.views import Purged

__all__ = ["purge"]

_logger = logging.getLogger("cgk_jobs.tenants")

_AT_ONCE = 1_000
"""Rows of a table deleted in one transaction, so that nobody waits long for it."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5


async def purge(store: Store, record: TenantRecord, known: bool, wait: float) -> Purged:
    """Delete everything of a tenant. ``wait``: seconds its running attempts get to end after they were asked to."""
    abandoned = 0
    quotas, _ = await store.reads.quotas(record.id)
    if known or not quotas.is_empty:
        await store.put_quotas(quotas._replace(closed=True))
        await store.put_tenant(record._replace(paused=True))
        abandoned = await _end_attempts(store, record.id, wait)
    rows: Counter[str] = Counter()
    while deleted := await store.purge(record.id, _AT_ONCE):
        rows.update(deleted)
        await asyncio.sleep(0)
    await store.forget_tenant(record.id)
    return Purged(record.id, dict(rows), abandoned)


async def _end_attempts(store: Store, tenant_id: str, wait: float) -> int:
    """Ask every running attempt to end and wait for it; how many have not."""
    running = RunFilter(tenant_id, state="running")
    give_up_at = monotonic() + wait
    asked: set[RunKey] = set()
    pause = _SHORTEST_PAUSE
    while True:
        keys = [run.key for run in await store.reads.runs(running, before=None, count=10_000)]
        if not keys:
            return 0
        news = [key for key in keys if key not in asked]
        if news:
            await store.cancel(news)
            asked.update(news)
        if monotonic() > give_up_at:
            _logger.warning(
                "tenant %s: %d attempts have not ended in %g s; their runs are deleted, and they can write nothing more",
                tenant_id,
                len(keys),
                wait,
            )
            return len(keys)
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
