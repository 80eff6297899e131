"""The service on this machine keeps to what is known of the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cgk_jobs.testing.clock import TestClock
from cgk_jobs.testing.peers.loopback import Loopback
from cgk_jobs.testing.peers.qstash import Faults, Limits, QStashPeer

PUBLIC = "https://shop.example/x"


class Place:
    """Where messages are delivered: answers in turn, the last one for ever."""

    def __init__(self, *answers: Response) -> None:
        self.answers = list(answers) or [Response()]
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.most_at_once = self._now = 0
        self.held: asyncio.Event | None = None
        self.three_came = asyncio.Event()
        self.app = Starlette(routes=[Route("/{rest:path}", self._answer, methods=["POST"])])

    async def _answer(self, request: Request) -> Response:
        self.calls.append((dict(request.headers), await request.body()))
        if len(self.calls) == 3:
            self.three_came.set()
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        if self.held is not None:
            await self.held.wait()
        self._now -= 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@asynccontextmanager
async def service(
    place: Place | None = None, **options: Any
) -> AsyncIterator[tuple[QStashPeer, httpx.AsyncClient, str, TestClock]]:
    clock = TestClock(datetime(2026, 11, 25, tzinfo=UTC))
    async with (
        QStashPeer(clock=clock, **options) as peer,
        Loopback((place or Place()).app) as server,
        httpx.AsyncClient(
            base_url=peer.url, headers={"authorization": f"Bearer {peer.token}"}, trust_env=False
        ) as client,
    ):
        yield peer, client, server.url + "/x", clock


async def test_the_waits_between_tries() -> None:
    place = Place(Response(status_code=500))
    async with service(place) as (peer, client, url, clock):
        await client.post(f"/v2/publish/{url}", content=b"hello", headers={"upstash-forward-x-own": "7"})
        await peer.settled()
        for wait in (12, 148, 1_808):
            calls = len(place.calls)
            clock.advance(wait)
            await peer.settled()
            assert len(place.calls) == calls
            clock.advance(1)
            await peer.settled()
            assert len(place.calls) == calls + 1
        assert [headers["upstash-retried"] for headers, _ in place.calls] == ["0", "1", "2", "3"]
        assert {(headers["x-own"], body) for headers, body in place.calls} == {("7", b"hello")}
        assert len({headers["upstash-signature"] for headers, _ in place.calls}) == 4
        assert (len(peer.dead), peer.billed) == (1, 4)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1m30s", 90), ("Wed, 25 Nov 2026 00:01:30 GMT", 90), ("90000", 12)]
)
async def test_a_wait_that_is_asked_for(text: str, seconds: int) -> None:
    place = Place(Response(status_code=503, headers={"Retry-After": text}), Response())
    async with service(place) as (peer, client, url, clock):
        await client.post(f"/v2/publish/{url}")
        await peer.settled()
        clock.advance(seconds - 1)
        await peer.settled()
        assert len(place.calls) == 1
        clock.advance(2)
        await peer.settled()
        assert len(place.calls) == 2


@pytest.mark.parametrize(
    ("headers", "due"),
    [({"upstash-delay": "1h30m"}, 5_400), ({"upstash-not-before": "1795564860"}, 60), ({"upstash-not-before": "1"}, 0)],
)
async def test_delays(headers: dict[str, str], due: int) -> None:
    place = Place()
    async with service(place) as (peer, client, url, clock):
        assert (await client.post(f"/v2/publish/{url}", headers=headers)).status_code == 200
        if due:
            clock.advance(due - 1)
            await peer.settled()
            assert place.calls == []
            clock.advance(1)
        await peer.settled()
        assert len(place.calls) == 1


async def test_a_double_is_known_for_ten_minutes() -> None:
    async with service() as (peer, client, url, clock):
        headers = {"upstash-deduplication-id": "w1"}
        first = await client.post(f"/v2/publish/{url}", headers=headers)
        clock.advance(599)
        second = await client.post(f"/v2/publish/{url}", headers=headers)
        assert (first.status_code, second.status_code) == (200, 202)
        assert second.json() == {"messageId": first.json()["messageId"], "deduplicated": True}
        clock.advance(2)
        third = await client.post(f"/v2/publish/{url}", headers=headers)
        assert third.json().keys() == {"messageId"}
        await peer.settled()
        assert len(peer.rung) == 2


async def test_flow_control_lets_the_excess_wait() -> None:
    place = Place()
    place.held = asyncio.Event()
    async with service(place) as (peer, client, url, _):
        for key in ("a", "a", "a", "a", "b"):
            headers = {"upstash-flow-control-key": key, "upstash-flow-control-value": "parallelism=2"}
            assert (await client.post(f"/v2/publish/{url}", headers=headers)).status_code == 200
        settled = asyncio.create_task(peer.settled())
        await place.three_came.wait()
        place.held.set()
        await settled
        assert (len(place.calls), place.most_at_once) == (5, 3)


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        (PUBLIC, {"upstash-not-before": "1795564860000"}, 400),
        (PUBLIC, {"upstash-not-before": "soon"}, 400),
        (PUBLIC, {"upstash-delay": "5000ms"}, 400),
        (PUBLIC, {"upstash-delay": "8d"}, 400),
        (PUBLIC, {"upstash-retries": "4"}, 400),
        (PUBLIC, {"upstash-retries": "-1"}, 400),
        (PUBLIC, {"upstash-label": "a b"}, 400),
        (PUBLIC, {"upstash-timeout": "16m"}, 400),
        (PUBLIC, {"upstash-flow-control-key": "a"}, 400),
        (PUBLIC, {"upstash-flow-control-key": "a", "upstash-flow-control-value": "parallel=2"}, 400),
        (PUBLIC, {"upstash-failure-callback": "/failed"}, 400),
        (PUBLIC, {"upstash-priority": "1"}, 400),
        (PUBLIC + "?a=1", {}, 400),
        ("shop", {}, 400),
        ("ftp://shop.example/x", {}, 400),
        (PUBLIC, {"authorization": "Bearer x"}, 401),
        (PUBLIC, {"authorization": ""}, 401),
    ],
)
async def test_what_it_refuses(target: str, headers: dict[str, str], status: int) -> None:
    async with service() as (peer, client, _, _):
        answer = await client.post(f"/v2/publish/{target}", headers=headers)
        assert answer.status_code == status
        assert answer.json().keys() == {"error"}
        assert peer.messages == {}


async def test_limits_of_a_plan() -> None:
    async with service(limits=Limits(messages=1, body=10, schedules=1)) as (peer, client, url, _):
        assert (await client.post(f"/v2/publish/{url}", content=b"x" * 11)).status_code == 413
        assert (await client.post(f"/v2/publish/{url}")).status_code == 200
        await peer.settled()
        assert (await client.post(f"/v2/publish/{url}")).status_code == 429
        answers = [
            (await client.post(f"/v2/schedules/{url}", headers={"upstash-cron": cron})).status_code
            for cron in ("0 4 * * *", "0 5 * * *")
        ]
        assert answers == [201, 412]
        assert (await client.post(f"/v2/schedules/{url}", headers={"upstash-cron": "99 * * * *"})).status_code >= 400


async def test_what_it_does_wrong_when_wished() -> None:
    place = Place()
    faults = Faults(lost=1, late=30.0)
    async with service(place, faults=faults) as (peer, client, url, clock):
        for _ in range(2):
            assert (await client.post(f"/v2/publish/{url}")).status_code == 200
        await peer.settled()
        assert place.calls == []
        clock.advance(31)
        await peer.settled()
        assert len(place.calls) == 1
        faults.late, faults.copies = 0.0, 3
        await client.post(f"/v2/publish/{url}")
        await peer.settled()
        assert len(place.calls) == 4
        faults.limited = 1
        limited = await client.get("/v2/schedules")
        assert (limited.status_code, limited.headers["burst-ratelimit-remaining"]) == (429, "0")
        assert "retry-after" not in limited.headers


async def test_cancelled_while_it_waits_for_another_try() -> None:
    place = Place(Response(status_code=500))
    async with service(place) as (peer, client, url, clock):
        id = (await client.post(f"/v2/publish/{url}")).json()["messageId"]
        await peer.settled()
        assert (await client.delete(f"/v2/messages/{id}")).status_code == 200
        clock.advance(86_400)
        await peer.settled()
        assert (len(place.calls), len(peer.dead)) == (1, 0)
        assert (await client.delete(f"/v2/messages/{id}")).status_code == 404
