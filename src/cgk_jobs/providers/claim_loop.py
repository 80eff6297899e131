"""The embedded provider: a loop that claims straight from the ledger. Nothing else is involved."""

from __future__ import annotations

from cgk_jobs.clock import monotonic
from cgk_jobs.engine.scheduler import Scheduler
from cgk_jobs.engine.store import Store
from cgk_jobs.engine.upkeep import Upkeep
from cgk_jobs.engine.worker import Worker
from cgk_jobs.providers.bound import WorkOrder
from cgk_jobs.providers.capabilities import EMBEDDED, Capabilities
from cgk_jobs.providers.provider import Health

__all__ = ["ClaimLoop", "ClaimLoopProvider"]

SILENT_FOR = 30.0
"""Seconds without a look at the ledger after which a worker with room counts as down."""


class ClaimLoopProvider:
    """Claims from a store of this process. ``name`` tells the store: ``embedded`` is SQLite, ``postgres`` PostgreSQL."""

    def __init__(self, name: str, store: Store, capabilities: Capabilities = EMBEDDED) -> None:
        self.name = name
        self.store = store
        self.capabilities = capabilities

    async def start(self, order: WorkOrder) -> ClaimLoop:
        """Begin to claim."""
        loop = ClaimLoop(self.store, order)
        await loop.start()
        return loop

    def close(self) -> None:
        """Close the store."""
        self.store.close()


class ClaimLoop:
    """One worker with its scheduler and upkeep. With a clock that only a caller moves, the last two are the caller's."""

    def __init__(self, store: Store, order: WorkOrder) -> None:
        self._order = order
        self._worker = Worker(
            store,
            order.tasks,
            order.services,
            order.emitter,
            order.clock,
            queues=order.queues,
            concurrency=order.concurrency,
            lease=order.lease,
        )
        self._scheduler = Scheduler(store, order.tasks, order.tenants, order.emitter, order.clock)
        self._upkeep = Upkeep(store, order.clock, retention=order.retention)

    async def start(self) -> None:
        """Begin."""
        if self._order.scheduler:
            await self._scheduler.register()
        await self._worker.start()
        if not self._order.clock.manual:
            self._upkeep.start()
            if self._order.scheduler:
                self._scheduler.start()

    async def stop(self, grace: float) -> None:
        """End: schedules first, then the worker, which drains."""
        await self._scheduler.stop()
        await self._upkeep.stop()
        await self._worker.stop(grace)

    def cancel(self, seq: int) -> None:
        """End the attempt of a run that was cancelled, if it runs here."""
        self._worker.cancel(seq)

    def wake(self) -> None:
        """Look for work now."""
        self._worker.wake()

    @property
    def idle(self) -> bool:
        """Nothing runs here at the moment."""
        return self._worker.idle

    @property
    def begun(self) -> int:
        """Attempts begun so far."""
        return self._worker.started

    async def fire_due(self) -> int | None:
        """Fire the schedules that are due now."""
        return await self._scheduler.fire_due()

    async def upkeep(self) -> int:
        """Expire and prune now."""
        return await self._upkeep.once()

    def health(self) -> Health:
        """Up while the worker looks at the ledger, or has all slots taken."""
        silent = monotonic() - self._worker.looked_at
        if silent > SILENT_FOR and self._worker.has_room:
            return Health(False, f"the worker has not looked for work for {silent:.0f} s")
        return Health(True)
