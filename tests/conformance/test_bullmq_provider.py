"""The suite of every provider, with a real Redis between the ledger and the application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from tests.servers.redis import RedisServer, left_connections

from cgk_jobs import Jobs
from cgk_jobs.providers.bullmq import connections
from cgk_jobs.providers.registry import create_provider
from cgk_jobs.settings import Settings
from cgk_jobs.testing.conformance.provider import ProviderConformance, Site


class BullmqSite(Site):
    """A vendor that is lost and doubled by a hand in its keys: Redis itself does neither."""

    def __init__(self, folder: Path, server: RedisServer) -> None:
        self._folder, self._server = folder, server
        self._made: list[Jobs] = []
        self._seen: list[str] = []
        self.redis: Any = redis.asyncio.from_url(server.url, decode_responses=True)

    def make_jobs(self) -> Jobs:
        path = self._folder / "jobs.db"
        settings = Settings(
            provider="bullmq", database=path, full_sync=False, app="shop", folder=self._folder, ledger=str(path),
            values={"REDIS_URL": self._server.url},
        )  # fmt: skip
        self._made.append(Jobs(create_provider(settings)))
        return self._made[-1]

    @asynccontextmanager
    async def serving(self, jobs: Jobs) -> AsyncGenerator[None, None]:
        async with self._listening():
            await jobs.start()
            try:
                yield
            finally:
                await jobs.stop()

    @asynccontextmanager
    async def _listening(self) -> AsyncGenerator[None, None]:
        """Note every command that any client sends, as Redis itself shows them."""
        host, port = self._server.address
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"MONITOR\r\n")
        assert await reader.readline() == b"+OK\r\n"

        async def note() -> None:
            while line := await reader.readline():
                self._seen.append(line.decode())

        ear = asyncio.create_task(note())
        try:
            yield
        finally:
            ear.cancel()
            await asyncio.gather(ear, return_exceptions=True)
            writer.close()

    def seen_by_vendor(self) -> str:
        return "\n".join(self._seen)

    async def pending_at_vendor(self) -> int:
        keys = [key async for key in self.redis.scan_iter("bull:cgk-shop-*:w*") if not key.endswith(":lock")]
        return len(keys)

    @asynccontextmanager
    async def unreachable(self) -> AsyncGenerator[None, None]:
        self._server.pause()
        try:
            yield
        finally:
            self._server.resume()

    @asynccontextmanager
    async def losing(self) -> AsyncGenerator[None, None]:
        over = asyncio.Event()

        async def lose() -> None:
            while not over.is_set():
                for key in [key async for key in self.redis.scan_iter("bull:cgk-shop-default:*")]:
                    if not key.endswith((":meta", ":marker")):
                        await self.redis.delete(key)
                await asyncio.sleep(0)

        thief = asyncio.create_task(lose())
        try:
            yield
        finally:
            over.set()
            await thief

    @asynccontextmanager
    async def doubling(self) -> AsyncGenerator[None, None]:
        from bullmq import Queue

        queue: Any = Queue("cgk-shop-default", {"connection": self._server.url})
        add = queue.backend

        over = asyncio.Event()

        async def double() -> None:
            known: set[str] = set()
            while not over.is_set():
                for key in [key async for key in self.redis.scan_iter("bull:cgk-shop-default:w*")]:
                    if key.count(":") != 2 or key in known:
                        continue  # a lock, or one that was doubled
                    if "data" in await self.redis.hgetall(key):
                        known.add(key)
                        for _ in range(2):
                            await self.redis.eval(
                                "redis.call('HSET', KEYS[2], unpack(redis.call('HGETALL', KEYS[1])))"
                                " redis.call('ZADD', KEYS[3], 0, ARGV[1])",
                                3, key, f"{key}x", "bull:cgk-shop-default:prioritized", key.rpartition(":")[2] + "x",
                            )  # fmt: skip
                await asyncio.sleep(0)

        copier = asyncio.create_task(double())
        try:
            yield
        finally:
            over.set()
            await copier
            await add.close()

    async def ring_clock(self) -> None:
        raise NotImplementedError("BullMQ's own clock rings")

    async def close(self) -> None:
        for jobs in self._made:
            jobs.close()
        await self.redis.aclose()


class TestBullmq(ProviderConformance):
    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr(connections, "ANSWER_WITHIN", 1.0)
        with left_connections():
            yield

    @asynccontextmanager
    async def installation(self, folder: Path) -> AsyncGenerator[Site, None]:
        server = RedisServer(folder)
        server.start()
        site = BullmqSite(folder, server)
        try:
            yield site
        finally:
            await site.close()
            server.kill()
