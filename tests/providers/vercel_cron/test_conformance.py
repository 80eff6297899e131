"""The suite of every provider, in an application that works only while Vercel's clock or a send of its own calls it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.providers.vercel_cron.harness import CRONS, MOUNT, SECRET, settings_of

from cgk_jobs import Jobs
from cgk_jobs.providers.registry import create_provider
from cgk_jobs.testing.conformance.provider import ProviderConformance, Site
from cgk_jobs.testing.peers.loopback import Loopback
from cgk_jobs.testing.peers.vercel_clock import VercelClock


class Host:
    """Passes calls on to the deployed applications, in turn; ``broken``: to none."""

    def __init__(self) -> None:
        self.serving: list[Any] = []
        self.seen: list[str] = []
        self.broken = False
        self._turn = 0
        self._calls: dict[int, int] = {}

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        self.seen.append(f"{scope['method']} {scope['path']} {scope['query_string']!r} {scope['headers']}")
        if self.broken or not self.serving:
            await send({"type": "http.response.start", "status": 502, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        self._turn += 1
        app = self.serving[self._turn % len(self.serving)]
        self._calls[id(app)] = self._calls.get(id(app), 0) + 1
        try:
            await app({**scope, "root_path": MOUNT}, receive, send)
        finally:
            self._calls[id(app)] -= 1

    async def retire(self, app: Any) -> None:
        """Send it no calls any more, and wait for those it has."""
        self.serving.remove(app)
        while self._calls.get(id(app)):  # noqa: ASYNC110 - a few turns
            await asyncio.sleep(0.01)


class VercelSite(Site):
    def __init__(self, folder: Path, host: Host, clock: VercelClock, public_url: str) -> None:
        self._folder, self._host, self._clock, self._public_url = folder, host, clock, public_url
        self._made: list[Jobs] = []

    def make_jobs(self) -> Jobs:
        self._made.append(Jobs(create_provider(settings_of(self._folder, self._public_url))))
        return self._made[-1]

    @asynccontextmanager
    async def serving(self, jobs: Jobs) -> AsyncGenerator[None, None]:
        # Never started: a host that sleeps between calls has nobody to do it.
        app = jobs.asgi()
        await jobs.declare()  # as the first call to a deployment does
        self._host.serving.append(app)
        try:
            yield
        finally:
            await self._host.retire(app)
            await jobs.stop()

    def seen_by_vendor(self) -> str:
        return "\n".join([*self._clock.asked, *self._host.seen])

    async def pending_at_vendor(self) -> int:
        return 0

    @asynccontextmanager
    async def unreachable(self) -> AsyncGenerator[None, None]:
        """The application's calls of itself don't arrive; the clock rings."""
        self._host.broken = True
        await self._clock.ring()
        self._host.broken = False
        yield

    @asynccontextmanager
    async def losing(self) -> AsyncGenerator[None, None]:
        self._clock.faults.lost = True
        yield
        self._clock.faults.lost = False

    @asynccontextmanager
    async def doubling(self) -> AsyncGenerator[None, None]:
        self._clock.faults.copies = 3
        yield
        self._clock.faults.copies = 1

    async def ring_clock(self) -> None:
        await self._clock.ring()

    def close(self) -> None:
        for jobs in self._made:
            jobs.close()


class TestVercelCron(ProviderConformance):
    @asynccontextmanager
    async def installation(self, folder: Path) -> AsyncGenerator[Site, None]:
        host = Host()
        async with Loopback(host) as server, VercelClock(server.url + MOUNT, SECRET, CRONS, every=0.2) as clock:
            site = VercelSite(folder, host, clock, server.url + MOUNT)
            try:
                yield site
            finally:
                site.close()
