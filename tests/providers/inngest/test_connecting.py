"""Being reached over a connection from here, as far as that can be tried without the vendor's gateway: the way to it, and the end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.providers.qstash.harness import Ledger
from tests.servers.redis import left_connections

from cgk_jobs.providers.inngest.provider import InngestProvider
from cgk_jobs.providers.provider import Plan, PlannedTask
from cgk_jobs.testing.peers.inngest import InngestPeer


@pytest.fixture(autouse=True)
def _left() -> Iterator[None]:
    """The vendor's thread leaves its connections to whoever collects them: that is not another test."""
    with left_connections():
        yield


async def test_it_asks_for_a_gateway_with_the_signing_key_and_ends_when_told() -> None:
    ledger = Ledger()
    async with InngestPeer() as peer:
        provider = InngestProvider.from_settings(
            {**peer.environment("http://127.0.0.1:9/jobs"), "JOBS_INNGEST_CONNECT": "1"}
        )
        plan = Plan("default", [PlannedTask("sync", "default", 3.0, 1, None)], [])
        provider.learn(plan)
        assert provider.routes(ledger.deliver, ledger.drain) == {}
        assert await provider.sync(plan) == []
        loop = provider.work(ledger.deliver, ledger.drain, queues=["default"], concurrency=5)
        assert loop is not None
        async with loop:
            while not peer.connections:  # noqa: ASYNC110 - the vendor's thread asks
                await asyncio.sleep(0.02)
        assert peer.connections[0].endswith(peer.bearer_of_packages)
        await provider.close()
