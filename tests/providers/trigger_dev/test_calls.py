"""Who is let in, what is answered, and what becomes of work that takes long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.providers.qstash.harness import Ledger, ask

from cgk_jobs.clock import ManualClock
from cgk_jobs.errors import ProviderUnavailable
from cgk_jobs.providers.provider import Answer, Call
from cgk_jobs.providers.trigger_dev.dispatch import CLOCK_PATH, PATH
from cgk_jobs.providers.trigger_dev.provider import TriggerDevProvider
from cgk_jobs.testing.peers.trigger_dev import TriggerDevPeer
from cgk_jobs.wire.json import dumps, loads
from cgk_jobs.wire.request_signing import RequestSigner

PUBLIC = "http://127.0.0.1:9/jobs"
OLD, NEW = "the-one-before-it-of-thirty-two-chars", "a-signing-key-of-thirty-two-characters"
BODY = dumps(
    {"v": 1, "wakeup": "w1", "queue": "default", "tenant": "rawdog", "run": "01930000-0000-7000-8000-000000000001", "task": "sync"}
).encode()  # fmt: skip


class Door:
    """The endpoints of a provider, and a ledger that answers as it is told."""

    def __init__(self, peer: TriggerDevPeer) -> None:
        self.clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
        self.ledger = Ledger()
        self.let: asyncio.Event | None = None
        self.provider = TriggerDevProvider.from_settings(
            {**peer.environment(PUBLIC), "JOBS_SIGNING_KEY": f"{NEW},{OLD}"}, clock=self.clock, answer_within=0.05
        )
        self.routes = self.provider.routes(self._deliver, self.ledger.drain)

    async def _deliver(self, call: Call) -> Answer:
        answer = await self.ledger.deliver(call)
        if self.let is not None:
            await self.let.wait()
        return answer

    def signed(self, *keys: str, path: str = PATH, body: bytes = BODY, age: int = 0) -> dict[str, str]:
        now = self.clock.micros() // 1_000_000 - age
        signer = RequestSigner([key.encode() for key in keys or (NEW,)])
        return signer.sign("POST", f"/jobs{path}", body, now)

    async def call(self, headers: dict[str, str], body: bytes = BODY, path: str = PATH, **more: Any) -> Any:
        return await ask(self.routes[path], body, headers, **more)


@pytest.fixture
async def door() -> AsyncGenerator[Door, None]:
    async with TriggerDevPeer() as peer:
        made = Door(peer)
        made.peer = peer  # type: ignore[attr-defined]
        yield made
        await made.provider.close()


@pytest.mark.parametrize("keys", [(NEW,), (OLD,), (NEW, OLD), ("k" * 32, OLD)])
async def test_any_key_of_either_side_lets_in(door: Door, keys: tuple[str, ...]) -> None:
    status, _, body = await door.call(door.signed(*keys))
    assert (status, loads(body)) == (200, {"kind": "settled"})


async def test_a_call_is_let_in_once(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    headers = door.signed()
    assert (await door.call(headers))[0] == 200
    for _ in range(3):
        assert (await door.call(headers))[0] == 401
    assert len(door.ledger.calls) == 1
    assert "used before" in caplog.text


@pytest.mark.parametrize("age", [-301, 301, 86_400])
async def test_too_old_or_from_the_future(door: Door, age: int) -> None:
    assert (await door.call(door.signed(age=age)))[0] == 401


@pytest.mark.parametrize("age", [-290, 290])
async def test_clocks_may_differ_a_little(door: Door, age: int) -> None:
    assert (await door.call(door.signed(age=age)))[0] == 200


@pytest.mark.parametrize(
    "change",
    [
        {"x-cgk-signature": ""},
        {"x-cgk-signature": "v1=" + "0" * 64},
        {"x-cgk-signature": "v2=" + "0" * 64},
        {"x-cgk-nonce": "short"},
        {"x-cgk-nonce": "n" * 24},
        {"x-cgk-timestamp": "1e9"},
        {"x-cgk-timestamp": "-1"},
    ],
)
async def test_a_changed_header_is_refused(door: Door, change: dict[str, str]) -> None:
    status, _, body = await door.call({**door.signed(), **change})
    assert (status, body) == (401, b"")
    assert door.ledger.calls == []


async def test_another_key_body_or_path_is_refused(door: Door) -> None:
    for headers, body, path in (
        (door.signed("k" * 32), BODY, PATH),
        (door.signed(), BODY.replace(b"rawdog", b"acme00"), PATH),
        (door.signed(path=CLOCK_PATH), BODY, PATH),
    ):
        assert (await door.call(headers, body, path))[0] == 401
    assert door.ledger.calls == []


async def test_too_large_is_refused_before_it_is_read(door: Door) -> None:
    big = b"x" * (256 * 1024 + 1)
    assert (await door.call(door.signed(body=big), big))[0] == 413


async def test_only_post(door: Door) -> None:
    status, headers, _ = await door.call(door.signed(), method="GET")
    assert (status, headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"v":2}', BODY.replace(b'"v":1', b'"v":3'), b"\xff\xfe"])
async def test_what_is_no_wake_up_is_refused_for_good(door: Door, body: bytes) -> None:
    status, _, answered = await door.call(door.signed(body=body), body)
    assert (status, loads(answered)) == (422, {"kind": "refused"})


@pytest.mark.parametrize(
    ("answer", "status", "retry_after"),
    [
        (Answer("settled"), 200, None),
        (Answer("nothing"), 200, None),
        (Answer("busy", retry_after=2.5), 409, "3"),
        (Answer("refused"), 422, None),
        (ProviderUnavailable("postgresql://u:pw@db is down"), 503, "30"),
        (RuntimeError("customer 4711"), 500, None),
    ],
)
async def test_answers(
    door: Door, answer: Answer | Exception, status: int, retry_after: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    door.ledger.answers = [answer]
    found, headers, body = await door.call(door.signed())
    assert (found, headers.get("retry-after")) == (status, retry_after)
    assert "4711" not in body.decode() + caplog.text
    assert "pw" not in body.decode()


async def test_the_clock_drains(door: Door) -> None:
    status, _, _ = await door.call(door.signed(path=CLOCK_PATH, body=b"{}"), b"{}", CLOCK_PATH)
    assert (status, door.ledger.drained) == (200, [50.0])


# -- work that takes long ---------------------------------------------------------------------------------------------


async def begin_long(door: Door) -> str:
    door.let = asyncio.Event()
    status, _, body = await door.call(door.signed())
    assert status == 202
    token: str = loads(body)["waitpoint"]
    return token


async def completed(door: Door, token: str) -> Any:
    peer: TriggerDevPeer = door.peer  # type: ignore[attr-defined]
    while peer.tokens[token] is None:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return peer.tokens[token]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer("settled"), {"kind": "settled"}),
        (Answer("busy", retry_after=2.5), {"kind": "busy", "retryAfter": 3}),
        (Answer("refused"), {"kind": "refused"}),
    ],
)
async def test_a_token_is_completed_with_what_the_answer_would_have_been(
    door: Door, answer: Answer, told: dict[str, Any]
) -> None:
    door.ledger.answers = [answer]
    token = await begin_long(door)
    assert door.let is not None
    door.let.set()
    assert await completed(door, token) == told


async def test_a_process_that_stops_has_its_calls_come_again(door: Door) -> None:
    token = await begin_long(door)
    await door.provider.close()
    assert await completed(door, token) == {"kind": "busy", "retryAfter": 1}
    assert door.let is not None
    door.let.set()


async def test_without_a_token_the_request_is_held(door: Door) -> None:
    peer: TriggerDevPeer = door.peer  # type: ignore[attr-defined]
    peer.faults.garbled = 1
    door.let = asyncio.Event()
    call = asyncio.create_task(door.call(door.signed()))
    while not peer.asked:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    door.let.set()
    assert (await call)[0] == 200
