"""The embedded provider: a loop that claims straight from the ledger. Nothing else is involved."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from cgk_jobs.clock import monotonic
from cgk_jobs.engine.reads import RunFilter
from cgk_jobs.engine.scheduler import Scheduler
from cgk_jobs.engine.store import Store
from cgk_jobs.engine.upkeep import Upkeep
from cgk_jobs.engine.worker import Worker
from cgk_jobs.errors import NotConfigured
from cgk_jobs.providers.bound import WorkOrder
from cgk_jobs.providers.capabilities import EMBEDDED, Capabilities
from cgk_jobs.providers.draining import drain
from cgk_jobs.providers.hosting import CLAIMING, Hosting, MakeProvider
from cgk_jobs.providers.planning import plan_of
from cgk_jobs.providers.provider import AsgiApp, Health, JobProvider
from cgk_jobs.providers.tenant_names import TenantNames

__all__ = ["ClaimLoop", "ClaimLoopProvider"]

SILENT_FOR = 30.0
"""Seconds without a look at the ledger after which a worker with room counts as down."""


class ClaimLoopProvider:
    """Claims from a store of this process. ``name`` tells the store: ``embedded`` is SQLite, ``postgres`` PostgreSQL.

    ``on_call``: the host runs this process only while it answers a call, so that is when it works, started or not.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        capabilities: Capabilities = EMBEDDED,
        *,
        make: MakeProvider | None = None,
        names: TenantNames | None = None,
        app: str = "default",
        public_url: str | None = None,
        on_call: bool = False,
    ) -> None:
        self.name = name
        self.store = store
        self.capabilities = capabilities
        self._make = make
        self.names = names or TenantNames()
        self.app = app
        self.public_url = public_url
        self.on_call = on_call

    def hosted(self, name: str) -> JobProvider:
        """The hosted provider of that name, of these settings. Raises ``NotConfigured`` where some are missing."""
        if self._make is None:
            raise NotConfigured(f"this application was made with a ledger alone; the provider {name} needs settings")
        return self._make(name)

    async def start(self, order: WorkOrder) -> ClaimLoop:
        """Begin to work."""
        if self.on_call:
            order = replace(order, on_call=True, scheduler=False)
        loop = ClaimLoop(self, order)
        await loop.start()
        return loop

    def close(self) -> None:
        """Close the store."""
        self.store.close()


class ClaimLoop:
    """One worker with its scheduler and upkeep. With a clock that only a caller moves, the last two are the caller's."""

    def __init__(self, provider: ClaimLoopProvider, order: WorkOrder) -> None:
        self._order = order
        self._loop = asyncio.get_running_loop()
        self._provider_claims = provider.name in CLAIMING
        store = self._store = provider.store
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
        self.hosting = Hosting(
            store,
            self._worker,
            order.tasks,
            order.clock,
            default=provider.name,
            make=lambda name: _connected(provider.hosted(name), order),
            names=provider.names,
            lease=order.lease,
            concurrency=order.concurrency,
            drain=self.drain,
            plan=lambda: plan_of(order.tasks, provider.app, provider.public_url),
            on_call=order.on_call,
        )
        self._scheduler = Scheduler(store, order.tasks, order.tenants, order.emitter, order.clock)
        self._upkeep = Upkeep(store, order.clock, retention=order.retention)

    async def start(self) -> None:
        """Begin."""
        if self._order.scheduler:
            await self._scheduler.register()
        self._worker.claims_by_itself = self._provider_claims
        await self._worker.start()
        try:
            await self.hosting.start()
        except BaseException:
            await self.stop(0)
            raise
        if not self._order.clock.manual:
            self._upkeep.start()
            if self._order.scheduler:
                self._scheduler.start()

    async def stop(self, grace: float) -> None:
        """End: schedules first, then the worker, which drains."""
        await self._scheduler.stop()
        await self._upkeep.stop()
        self.hosting.delivering.stopping = True
        await self._worker.stop(grace)
        await self.hosting.stop()

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

    @property
    def on_call(self) -> bool:
        """It works only while this process is called."""
        return self._order.on_call

    async def fire_due(self) -> int | None:
        """Fire the schedules that are due now."""
        return await self._scheduler.fire_due()

    async def drain(self, budget: float) -> Mapping[str, int]:
        """Fire what is due, hand out wake-ups, and work off what is ready, for ``budget`` seconds.

        Returns the attempts begun (``runs``), the runs left that are ready (``left``), and milliseconds until the next one is
        due (``next_ms``; -1 if none is known of).
        """
        if self._order.on_call:
            await self._worker.revive()
        await self._scheduler.fire_due()
        await self._upkeep.once()
        runs = await drain(self._worker, self._worker.queues, budget, put_back=self._order.on_call)
        await self.hosting.hand_out()
        counts = await self._store.reads.count(RunFilter(None, state="queued"))
        due = self._worker.next_due
        next_ms = -1 if due is None else max(due - self._order.clock.micros(), 0) // 1000
        return {"runs": runs, "left": counts.get("queued", 0), "next_ms": next_ms}

    async def flush(self) -> None:
        """Hand out the wake-ups there are to be handed out now, or have them rung for. From any loop."""
        if asyncio.get_running_loop() is self._loop:
            await self.hosting.flush()
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self.hosting.flush(), self._loop))

    def routes(self) -> Mapping[str, AsgiApp]:
        """What providers' calls are answered by."""
        return self.hosting.routes()

    async def upkeep(self) -> int:
        """Expire and prune now."""
        return await self._upkeep.once()

    def health(self) -> Health:
        """Up while the worker looks at the ledger, or has all slots taken. One that works on call looks when it is called."""
        if self._order.on_call:
            return Health(True)
        silent = monotonic() - self._worker.looked_at
        if silent > SILENT_FOR and self._worker.has_room:
            return Health(False, f"the worker has not looked for work for {silent:.0f} s")
        return Health(True)


def _connected(provider: JobProvider, order: WorkOrder) -> JobProvider:
    order.foreign.connect(provider)
    return provider
