"""Who is let in, in front of the vendor's own endpoint, and what that answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.providers.qstash.harness import Ledger

from cgk_jobs.clock import ManualClock
from cgk_jobs.errors import InvalidEvent, ProviderUnavailable
from cgk_jobs.providers.foreign import Brought, ForeignSource
from cgk_jobs.providers.inngest.provider import PATH, InngestProvider
from cgk_jobs.providers.provider import Answer, Plan, PlannedTask
from cgk_jobs.testing.peers.inngest import InngestPeer
from cgk_jobs.wire.json import dumps, loads

PUBLIC = "http://127.0.0.1:9/jobs"
OLD = "signkey-prod-" + "cd" * 32
DATA = {"v": 1, "wakeup": "w1", "queue": "default", "tenant": "rawdog", "run": "r1", "task": "sync", "priority": 0}


def body_of(
    function: str, data: Mapping[str, Any], attempt: int = 0, event: str = "cgk/default/queue/default"
) -> bytes:
    made = {"id": "e1", "name": event, "data": dict(data), "ts": 1_780_000_000_000}
    ctx = {
        "run_id": "01R", "attempt": attempt, "max_attempts": 11, "fn_id": function, "disable_immediate_execution": False,
        "use_api": False, "stack": {"stack": [], "current": 0},
    }  # fmt: skip
    return dumps({"ctx": ctx, "event": made, "events": [made], "steps": {}, "use_api": False, "version": 1}).encode()


class Door:
    """The endpoint of a provider, and a ledger that answers as it is told."""

    def __init__(self, peer: InngestPeer, **values: str) -> None:
        self.peer, self.clock, self.ledger = peer, ManualClock(datetime(2026, 3, 1, tzinfo=UTC)), Ledger()
        peer._clock = self.clock
        self.brought: list[Brought] = []
        self.trouble: Exception | None = None
        self.provider = InngestProvider.from_settings(
            {**peer.environment(PUBLIC), "INNGEST_SIGNING_KEY_FALLBACK": OLD, **values}, clock=self.clock
        )
        self.provider.learn(Plan("default", [PlannedTask("sync", "default", 3.0, 1, None)], []))
        self.provider.bring({"app/paid": ForeignSource("inngest", "app/paid", frozenset({"shop.paid"}))}, self._receive)
        self.app = self.provider.routes(self.ledger.deliver, self.ledger.drain)[PATH]

    async def _receive(self, brought: Brought) -> str:
        if self.trouble is not None:
            raise self.trouble
        self.brought.append(brought)
        return "event-1"

    async def call(
        self, body: bytes, headers: Mapping[str, str], function: str = "cgk-default-queue-default", method: str = "POST"
    ) -> tuple[int, dict[str, str], Any]:
        sent: list[MutableMapping[str, Any]] = []
        incoming = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            return incoming.pop() if incoming else await asyncio.Event().wait()

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        lines = [(name.encode(), value.encode("latin-1")) for name, value in {"host": "x", **headers}.items()]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "https",
            "path": f"/jobs{PATH}", "raw_path": b"", "query_string": f"fnId={function}&stepId=step".encode(), "root_path": "/jobs",
            "headers": lines, "client": ("127.0.0.1", 1), "server": ("x", 443),
        }  # fmt: skip
        await self.app(scope, receive, send)
        content = b"".join(message.get("body", b"") for message in sent)
        answered = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], answered, loads(content) if content else None

    async def wake(self, data: Mapping[str, Any] = DATA) -> tuple[int, dict[str, str], Any]:
        body = body_of("cgk-default-queue-default", data)
        return await self.call(body, {"x-inngest-signature": self.peer.signature(body)})


@pytest.fixture
async def door() -> AsyncGenerator[Door, None]:
    async with InngestPeer() as peer:
        made = Door(peer)
        yield made
        await made.provider.close()


async def test_a_signed_call_is_delivered(door: Door) -> None:
    status, _, answered = await door.wake()
    assert (status, answered) == (200, {"kind": "settled"})
    (call,) = door.ledger.calls
    assert (call.wakeup_id, call.queue, call.tenant_key, call.task) == ("w1", "default", "rawdog", "sync")


async def test_the_key_before_or_after_a_rotation_lets_in_too(door: Door) -> None:
    body = body_of("x", DATA)
    assert (await door.call(body, {"x-inngest-signature": door.peer.signature(body, key=OLD)}))[0] == 200


async def test_a_call_is_let_in_once(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    body = body_of("x", DATA)
    headers = {"x-inngest-signature": door.peer.signature(body)}
    assert [(await door.call(body, headers))[0] for _ in range(4)] == [200, 401, 401, 401]
    assert len(door.ledger.calls) == 1
    assert "used before" in caplog.text


@pytest.mark.parametrize("age", [301, -301, 1_000, 86_400])
async def test_too_old_or_from_the_future(door: Door, age: int) -> None:
    """The vendor's package takes a signature of any age."""
    body = body_of("x", DATA)
    assert (await door.call(body, {"x-inngest-signature": door.peer.signature(body, age=age)}))[0] == 401
    assert door.ledger.calls == []


@pytest.mark.parametrize("signature", [None, "", "t=1&s=", "s=" + "0" * 64, "t=1780000000&s=" + "0" * 64])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_nobody_else_is_let_in(door: Door, signature: str | None, method: str) -> None:
    headers = {} if signature is None else {"x-inngest-signature": signature}
    status, _, answered = await door.call(body_of("x", DATA), headers, method=method)
    assert (status, answered) == (401, None)
    assert door.ledger.calls == []
    assert door.peer.asked == [], "nor has anybody the functions registered again"


async def test_another_key_or_body(door: Door) -> None:
    body = body_of("x", DATA)
    signature = door.peer.signature(body, key="signkey-prod-" + "00" * 32)
    assert (await door.call(body, {"x-inngest-signature": signature}))[0] == 401
    other = body.replace(b"rawdog", b"acme00")
    assert (await door.call(other, {"x-inngest-signature": door.peer.signature(body)}))[0] == 401
    assert door.ledger.calls == []


async def test_too_large(door: Door) -> None:
    body = b"x" * (1024 * 1024 + 1)
    headers = {"x-inngest-signature": "t=1772323200&s=" + "0" * 64}
    assert (await door.call(body, headers))[0] == 413


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "HEAD", "OPTIONS", "post"])
async def test_other_methods(door: Door, method: str) -> None:
    assert (await door.call(b"", {}, method=method))[0] == 405


# -- answers ---------------------------------------------------------------------------------------------------------


async def test_a_busy_run_asks_to_be_called_again_when_it_says(door: Door) -> None:
    door.ledger.answers = [Answer("busy", retry_after=40.0)]
    status, headers, _ = await door.wake()
    assert (status, headers.get("x-inngest-no-retry")) == (500, None) or headers["x-inngest-no-retry"] == "false"
    assert "retry-after" in headers


async def test_a_ledger_that_can_t_be_reached_is_tried_again(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    door.ledger.answers = [ProviderUnavailable("postgresql://u:pw@db is down")]
    status, headers, answered = await door.wake()
    assert status == 500
    assert headers.get("x-inngest-no-retry") != "true"
    assert "pw" not in str(answered) + caplog.text


@pytest.mark.parametrize("data", [{}, {"v": 2}, {**DATA, "v": 3}, {**DATA, "tenant": 7}])
async def test_what_is_no_wake_up_is_refused_for_good(door: Door, data: dict[str, Any]) -> None:
    status, headers, _ = await door.wake(data)
    assert (status, headers["x-inngest-no-retry"]) == (500, "true")
    assert door.ledger.calls == []


async def test_a_refused_call_is_not_tried_again(door: Door) -> None:
    door.ledger.answers = [Answer("refused")]
    _, headers, _ = await door.wake()
    assert headers["x-inngest-no-retry"] == "true"


async def test_the_clock_drains(door: Door) -> None:
    body = body_of("cgk-default-clock", {"cron": "x"}, event="inngest/scheduled.timer")
    status, _, _ = await door.call(body, {"x-inngest-signature": door.peer.signature(body)}, "cgk-default-clock")
    assert (status, door.ledger.drained) == (200, [50.0])


# -- events from elsewhere --------------------------------------------------------------------------------------------


async def paid(door: Door) -> tuple[int, dict[str, str], Any]:
    body = body_of("x", {"tenant_id": "rawdog", "cents": 7}, event="app/paid")
    return await door.call(body, {"x-inngest-signature": door.peer.signature(body)}, "cgk-default-from-app-paid")


async def test_an_event_from_elsewhere_is_brought_with_its_id(door: Door) -> None:
    status, _, answered = await paid(door)
    assert (status, answered) == (200, {"event": "event-1"})
    (brought,) = door.brought
    assert (brought.name, brought.payload, brought.vendor_id) == (
        "shop.paid",
        {"tenant_id": "rawdog", "cents": 7},
        "e1",
    )


async def test_one_that_is_not_acceptable_fails_with_the_reason_and_for_good(door: Door) -> None:
    door.trouble = InvalidEvent("cents: Input should be a valid integer")
    status, headers, answered = await paid(door)
    assert (status, headers["x-inngest-no-retry"]) == (500, "true")
    assert "valid integer" in str(answered)


# -- development -----------------------------------------------------------------------------------------------------


async def test_a_development_server_s_calls_are_let_in_unsigned_and_health_says_so() -> None:
    async with InngestPeer() as peer:
        door = Door(peer, INNGEST_DEV="1")
        assert (await door.call(body_of("x", DATA), {}))[0] == 200
        assert "unsigned" in (await door.provider.health()).warnings[0]
        await door.provider.close()
