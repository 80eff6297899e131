from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.providers.qstash.harness import MOUNT, Ledger, Mounted, provider_of

from cgk_jobs.providers.qstash.provider import QStashProvider
from cgk_jobs.testing.peers.loopback import Loopback
from cgk_jobs.testing.peers.qstash import QStashPeer

Started = Callable[..., QStashProvider]


@pytest.fixture
async def peer() -> AsyncIterator[QStashPeer]:
    """The service, whose waits between tries last a thousandth of what they do."""
    async with QStashPeer(patience=0.001) as service:
        yield service


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
async def application(peer: QStashPeer, ledger: Ledger) -> AsyncIterator[Started]:
    """Starts a provider whose endpoints the service reaches. Its options are those of ``QStashProvider``."""
    mounted = Mounted()
    providers: list[QStashProvider] = []
    async with Loopback(mounted) as server:

        def start(**options: Any) -> QStashProvider:
            provider = provider_of(peer.environment(server.url + MOUNT), **options)
            mounted.routes = provider.routes(ledger.deliver, ledger.drain)
            providers.append(provider)
            return provider

        yield start
        for provider in providers:
            await provider.close()
