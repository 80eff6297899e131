"""The application's calls of itself, over a real connection."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
from tests.providers.vercel_cron.harness import SECRET

from cgk_jobs.clock import SystemClock
from cgk_jobs.errors import ProviderUnavailable
from cgk_jobs.providers.vercel_cron.receive import Guarded
from cgk_jobs.providers.vercel_cron.ringing import Bell
from cgk_jobs.testing.peers.loopback import Loopback


class Application:
    """Answers ``/drain`` when it is let; others as it is told."""

    def __init__(self, status: int = 401, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        self.status, self.headers = status, headers or []
        self.drains: list[bytes] = []
        self.let, self.arrived = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        status = self.status
        if scope["path"] == "/drain":
            self.drains.append(dict(scope["headers"])[b"authorization"])
            self.arrived.set()
            await self.let.wait()
            status = 200
        await send({"type": "http.response.start", "status": status, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"{}"})


def bell(url: str) -> Bell:
    return Bell(url, SECRET, 30.0, SystemClock())


async def test_a_ring_waits_for_no_answer() -> None:
    application = Application()
    async with Loopback(application) as server:
        ringing = bell(server.url)
        await ringing.ring()
        await application.arrived.wait()
        assert application.drains == [f"Bearer {SECRET}".encode()]
        application.let.set()
        await ringing.close()


async def test_many_who_ask_at_once_ring_a_few_times() -> None:
    application = Application()
    application.let.set()
    async with Loopback(application) as server:
        ringing = bell(server.url)
        await asyncio.gather(*[ringing.ring() for _ in range(50)])
        assert 1 <= len(application.drains) <= 3
        await ringing.close()


async def test_an_address_nobody_answers_at_is_said_to_be() -> None:
    ringing = bell("http://127.0.0.1:9")
    with pytest.raises(ProviderUnavailable) as refused:
        await ringing.ring()
    assert SECRET not in str(refused.value)
    health = await ringing.health()
    assert not health.ok
    await ringing.close()


async def test_health_asks_whether_the_application_refuses_strangers() -> None:
    async def work() -> dict[str, int]:
        raise AssertionError("asked without the secret")

    async with Loopback(Guarded([SECRET], work)) as server:
        ringing = bell(server.url)
        assert (await ringing.health()).ok
        await ringing.close()


@pytest.mark.parametrize(
    ("application", "said"),
    [
        (Application(404), "mount jobs.asgi()"),
        (Application(401), "deployment protection"),
        (Application(200), "not 401"),
        (Application(307, [(b"location", b"https://elsewhere.example/")]), "sent elsewhere"),
    ],
)
async def test_health_says_what_is_in_the_way(application: Application, said: str) -> None:
    async with Loopback(application) as server:
        ringing = bell(server.url)
        health = await ringing.health()
        assert not health.ok
        assert said in health.reason
        await ringing.close()
