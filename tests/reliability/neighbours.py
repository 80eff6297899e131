"""S37: tenants of one worker, and the order in which it begins their runs."""

from __future__ import annotations

import asyncio

from tests.reliability.processes import until_async

from cgk_jobs import Event, Jobs, across_tenants

__all__ = ["CONCURRENCY", "Neighbours", "Work"]

CONCURRENCY = 4


class Work(Event, name="neighbours.work"):
    number: int = 0


class Neighbours:
    """A worker and the order in which it begins runs."""

    def __init__(self, url: str) -> None:
        self.jobs = Jobs(url)
        self.begun: list[str] = []
        self.running = 0
        self.most = 0
        self.on_start: dict[int, Work] = {}
        self.sent_at: dict[int, int] = {}
        self.begun_at: dict[int, int] = {}

        @self.jobs.task(on=Work)
        async def work(event: Work) -> None:
            position = len(self.begun)
            self.begun.append(event.tenant_id)
            self.running += 1
            self.most = max(self.most, self.running)
            if event.tenant_id == "quiet":
                self.begun_at[event.number] = position
            due = self.on_start.get(position)
            if due is not None:
                with across_tenants(reason="the quiet tenant's own process would send it"):
                    await self.jobs.send(due)
                self.sent_at[due.number] = len(self.begun)
            await asyncio.sleep(0)
            self.running -= 1

    async def flood(self, tenant_id: str, count: int) -> None:
        """Send many at once."""
        for first in range(0, count, 1000):
            numbers = range(first, min(first + 1000, count))
            await self.jobs.send_many([Work(tenant_id=tenant_id, number=number) for number in numbers])

    async def work(self, count: int) -> list[str]:
        """Begin to work; the tenants of the first ``count`` runs, in the order of their starts."""
        await self.jobs.start(concurrency=CONCURRENCY)
        await until_async(lambda: len(self.begun) >= count)
        return self.begun[:count]
