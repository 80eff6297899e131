"""The suite of every provider, with Inngest on this machine between the ledger and the application."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cgk_jobs import Jobs
from cgk_jobs.providers.registry import create_provider
from cgk_jobs.settings import Settings
from cgk_jobs.testing.conformance.provider import ProviderConformance, Site
from cgk_jobs.testing.peers.inngest import InngestPeer
from cgk_jobs.testing.peers.loopback import Loopback

MOUNT = "/jobs"
ENDLESS = 1_000_000_000


class Balancer:
    """The public address: passes each call on to one of the applications that serve, in turn."""

    def __init__(self) -> None:
        self.serving: list[Any] = []
        self._turn = itertools.count()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if not self.serving:
            await send({"type": "http.response.start", "status": 502, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        app = self.serving[next(self._turn) % len(self.serving)]
        await app({**scope, "root_path": MOUNT}, receive, send)


class InngestSite(Site):
    def __init__(self, folder: Path, peer: InngestPeer, balancer: Balancer, public_url: str) -> None:
        self._folder, self._peer, self._balancer, self._public_url = folder, peer, balancer, public_url
        self._made: list[Jobs] = []

    def make_jobs(self) -> Jobs:
        path = self._folder / "jobs.db"
        settings = Settings(
            provider="inngest",
            database=path,
            full_sync=False,
            app=None,
            folder=self._folder,
            ledger=str(path),
            public_url=self._public_url,
            values=self._peer.environment(self._public_url),
        )
        self._made.append(Jobs(create_provider(settings)))
        return self._made[-1]

    @asynccontextmanager
    async def serving(self, jobs: Jobs) -> AsyncGenerator[None, None]:
        app = jobs.asgi()
        await jobs.start()
        self._balancer.serving.append(app)
        try:
            yield
        finally:
            self._balancer.serving.remove(app)
            await jobs.stop()

    def seen_by_vendor(self) -> str:
        return "\n".join(
            f"{asked.method} {asked.target} {asked.headers} {asked.body.decode()}" for asked in self._peer.asked
        )

    async def pending_at_vendor(self) -> int:
        return len(self._peer.waiting())

    @asynccontextmanager
    async def unreachable(self) -> AsyncGenerator[None, None]:
        self._peer.faults.broken = ENDLESS
        yield
        self._peer.faults.broken = 0

    @asynccontextmanager
    async def losing(self) -> AsyncGenerator[None, None]:
        self._peer.faults.lost = ENDLESS
        yield
        self._peer.faults.lost = 0

    @asynccontextmanager
    async def doubling(self) -> AsyncGenerator[None, None]:
        self._peer.faults.copies = 3
        yield
        self._peer.faults.copies = 1

    async def ring_clock(self) -> None:
        self._peer.ring()
        await self._peer.settled()

    def close(self) -> None:
        for jobs in self._made:
            jobs.close()


class TestInngest(ProviderConformance):
    @asynccontextmanager
    async def installation(self, folder: Path) -> AsyncGenerator[Site, None]:
        balancer = Balancer()
        async with InngestPeer(patience=0.1) as peer, Loopback(balancer) as server:
            site = InngestSite(folder, peer, balancer, server.url + MOUNT)
            try:
                yield site
            finally:
                site.close()
