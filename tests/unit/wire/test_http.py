"""Calls of a vendor, against a server on this machine that answers what the test wishes."""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cgk_jobs.errors import JobsError, NotConfigured, ProviderRefused, ProviderUnavailable
from cgk_jobs.testing.peers.loopback import Loopback
from cgk_jobs.wire.http import HttpClient, RetryRules, Timeouts
from cgk_jobs.wire.pauses import pause_by

KEY = "sk_live_very-secret"
QUERY = "tenant-rawdog"
BODY = {"card": "4111111111111111"}
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

Reply = Callable[[Request], Any] | Response | tuple[int, dict[str, str]]


class Vendor:
    """Answers each request with the next of ``replies``, the last one again and again; keeps what came."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.peers: set[int] = set()
        self.app = Starlette(routes=[Route("/{rest:path}", self._answer, methods=METHODS)])

    async def _answer(self, request: Request) -> Response:
        target = request.scope["raw_path"].decode() + ("?" + request.url.query if request.url.query else "")
        self.seen.append((request.method, target, dict(request.headers), await request.body()))
        assert request.client
        self.peers.add(request.client.port)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, tuple):
            status, headers = reply
            return JSONResponse({"error": f"no, {KEY}", "code": "too_busy"}, status, headers)
        return reply if isinstance(reply, Response) else await reply(request)


class Pauses:
    """Takes the place of ``asyncio.sleep`` and keeps the seconds."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def client_of(server: Loopback, **options: Any) -> HttpClient:
    options = {"headers": {"Authorization": f"Bearer {KEY}"}, "sleep": Pauses(), **options}
    return HttpClient(server.url, service="Vendor", extra="qstash", credentials="VENDOR_KEY", **options)


async def failure_of(client: HttpClient, method: str = "GET", **options: Any) -> JobsError:
    with pytest.raises(JobsError) as caught:
        await client.call(method, "/v2/things/{id}", values={"id": "th_1"}, query=[("label", QUERY)], **options)
    return caught.value


async def test_a_call_carries_what_it_was_given() -> None:
    vendor = Vendor(JSONResponse({"ok": [1, 2]}, headers={"X-Left": "7"}))
    async with Loopback(vendor.app) as server:
        client = client_of(server)
        answer = await client.call(
            "POST", "/v2/{id}/x", values={"id": "a/b c?"}, query=[("q", "ä&b"), ("q", "2")], json={"a": "ü"}
        )
        assert (answer.status, answer.json, answer.headers["x-left"]) == (200, {"ok": [1, 2]}, "7")
        await client.call("POST", "/v2/to/{+url}", values={"url": "https://app.example/x?y=1"}, content=b"\x00raw")
        await client.call("POST", "/v3", ndjson=[{"n": 1}, {"n": 2}], headers={"X-Once": "id-1"})
        await client.close()
    first, second, third = vendor.seen
    assert first[:2] == ("POST", "/v2/a%2Fb%20c%3F/x?q=%C3%A4%26b&q=2")
    assert first[2]["authorization"] == f"Bearer {KEY}"
    assert (first[2]["content-type"], first[3]) == ("application/json", '{"a":"ü"}'.encode())
    assert (second[1], second[3]) == ("/v2/to/https://app.example/x?y=1", b"\x00raw")
    assert (third[2]["content-type"], third[3]) == ("application/x-ndjson", b'{"n":1}\n{"n":2}\n')
    assert third[2]["x-once"] == "id-1"


async def test_connections_are_used_again() -> None:
    vendor = Vendor(JSONResponse({}))
    async with Loopback(vendor.app) as server:
        client = client_of(server)
        for _ in range(20):
            await client.call("GET", "/")
        await client.close()
        assert len(vendor.peers) == 1
        await client.call("GET", "/")
        await client.close()
    assert len(vendor.peers) == 2, "closed, and opened again by the next call"


async def test_each_event_loop_has_its_own_connections() -> None:
    vendor = Vendor(JSONResponse({}))
    async with Loopback(vendor.app) as server:
        client = client_of(server)
        await client.call("GET", "/")

        async def elsewhere() -> None:
            await client.call("GET", "/")
            await client.close()

        thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
        thread.start()
        await asyncio.to_thread(thread.join)
        # Closed from another loop, while this one was running.
        await client.call("GET", "/")
        await client.close()
    assert len(vendor.seen) == 3


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_what_passes_is_tried_again(status: int) -> None:
    vendor = Vendor((status, {}), (status, {}), JSONResponse({"done": True}))
    async with Loopback(vendor.app) as server:
        pauses = Pauses()
        client = client_of(server, sleep=pauses, retry=RetryRules(initial=1.0))
        assert (await client.call("GET", "/x")).json == {"done": True}
        await client.close()
    assert len(vendor.seen) == 3
    first, second = pauses.seconds
    assert 0.5 <= first <= 1.0 <= second <= 2.0


async def test_tries_of_one_call_send_the_same_key_of_idempotency() -> None:
    vendor = Vendor((503, {}), JSONResponse({}))
    async with Loopback(vendor.app) as server:
        client = client_of(server)
        await client.call("POST", "/x", json=BODY, headers={"Idempotency-Key": "w1"}, idempotent=True)
        await client.close()
    assert [seen[2]["idempotency-key"] for seen in vendor.seen] == ["w1", "w1"]
    assert vendor.seen[0][3] == vendor.seen[1][3]


async def test_what_may_have_had_its_effect_is_not_repeated_unless_that_is_harmless() -> None:
    vendor = Vendor((502, {}))
    async with Loopback(vendor.app) as server:
        client = client_of(server)
        await failure_of(client, "POST", json=BODY)
        assert len(vendor.seen) == 1
        await failure_of(client, "POST", json=BODY, idempotent=True)
        assert len(vendor.seen) == 5
        vendor.replies = [(429, {}), JSONResponse({})]
        await client.call("POST", "/", json=BODY)
        assert len(vendor.seen) == 7, "a refused request had no effect"
        await client.close()


@pytest.mark.parametrize(
    ("headers", "least"),
    [({"Retry-After": "6"}, 6.0), ({"Retry-After": "0m5s"}, 5.0), ({"x-ratelimit-reset": "1795000004000"}, 4.0)],
)
async def test_a_pause_that_is_asked_for_is_kept(headers: dict[str, str], least: float) -> None:
    class Fixed:
        manual = True

        def micros(self) -> int:
            return 1_795_000_000_000_000

    vendor = Vendor((429, headers), JSONResponse({}))
    async with Loopback(vendor.app) as server:
        pauses = Pauses()
        client = client_of(server, sleep=pauses, clock=Fixed(), pause=pause_by("retry-after", "x-ratelimit-reset"))
        await client.call("GET", "/")
        await client.close()
    assert len(pauses.seconds) == 1
    assert least <= pauses.seconds[0] <= least + 0.25


async def test_a_pause_longer_than_the_call_may_last_ends_it_at_once() -> None:
    vendor = Vendor((429, {"Retry-After": "3600"}))
    async with Loopback(vendor.app) as server:
        client = client_of(server)
        error = await failure_of(client)
        await client.close()
    assert isinstance(error, ProviderUnavailable)
    assert error.retry_after == 3600.0
    assert "pause of 3600 s" in str(error)
    assert len(vendor.seen) == 1


@pytest.mark.parametrize(
    ("status", "kind", "word"),
    [
        (401, NotConfigured, "Check VENDOR_KEY"),
        (403, NotConfigured, "Check VENDOR_KEY"),
        (400, ProviderRefused, "400 too_busy"),
        (302, ProviderRefused, "302"),
        (404, ProviderRefused, "404"),
        (500, ProviderUnavailable, "500 too_busy (4 tries)"),
        (429, ProviderUnavailable, "429 too_busy (4 tries)"),
    ],
)
async def test_errors_name_the_place_and_nothing_secret(status: int, kind: type[JobsError], word: str) -> None:
    vendor = Vendor((status, {"location": "/elsewhere"}))
    async with Loopback(vendor.app) as server:
        client = client_of(server)
        error = await failure_of(client, "PUT", json=BODY)
        await client.close()
        host = server.url.removeprefix("http://")
    assert type(error) is kind
    assert f"PUT {host}/v2/things/{{id}}" in str(error)
    assert word in str(error)
    assert_nothing_secret(str(error), repr(error), repr(client))
    if isinstance(error, ProviderRefused):
        assert (error.status, error.code) == (status, "too_busy")
        assert len(vendor.seen) == 1
    assert error.__cause__ is None
    assert error.__context__ is None, "what httpx raised holds the request"


def assert_nothing_secret(*texts: str) -> None:
    for text in texts:
        for secret in (KEY, QUERY, "4111", "th_1", "no, "):
            assert secret not in text


async def test_an_answer_that_is_expected_is_no_error() -> None:
    vendor = Vendor((404, {}))
    async with Loopback(vendor.app) as server:
        client = client_of(server)
        assert (await client.call("DELETE", "/x", expect=(404,))).status == 404
        await client.close()


async def test_a_server_that_is_not_there() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        gone = Loopback(None, port=held.getsockname()[1])
        pauses = Pauses()
        client = client_of(gone, sleep=pauses)
        error = await failure_of(client, "POST", json=BODY)
        await client.close()
    assert isinstance(error, ProviderUnavailable)
    assert "connect error (4 tries)" in str(error)
    assert "not known" not in str(error), "nothing was sent"
    assert len(pauses.seconds) == 3
    assert_nothing_secret(str(error))
    assert error.__context__ is None


async def test_a_server_that_does_not_answer() -> None:
    let_go = asyncio.Event()

    async def hang(request: Request) -> Response:
        await let_go.wait()
        return Response()

    vendor = Vendor(hang)
    async with Loopback(vendor.app) as server:
        for timeouts in (Timeouts(read=0.05), Timeouts(total=0.05)):
            client = client_of(server, timeouts=timeouts)
            error = await failure_of(client, "POST", json=BODY)
            assert isinstance(error, ProviderUnavailable)
            assert "it is not known whether it had its effect" in str(error)
            assert_nothing_secret(str(error))
            assert error.__context__ is None
            await client.close()
        let_go.set()
    assert len(vendor.seen) == 2, "not idempotent: one try each"


async def test_a_connection_that_breaks_off() -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(broken, "127.0.0.1", 0)
    async with server:
        place = Loopback(None, port=server.sockets[0].getsockname()[1])
        client = client_of(place)
        error = await failure_of(client)
        await client.close()
    assert isinstance(error, ProviderUnavailable)
    assert "remote protocol error (4 tries)" in str(error)


async def test_an_endless_answer_is_cut_off() -> None:
    bomb = gzip.compress(b"\0" * 17 * 1024 * 1024)
    vendor = Vendor(Response(bomb, headers={"content-encoding": "gzip"}))
    async with Loopback(vendor.app) as server:
        client = client_of(server)
        error = await failure_of(client, retry=RetryRules(attempts=1))
        await client.close()
    assert isinstance(error, ProviderUnavailable)
    assert "more than 16,777,216 bytes" in str(error)


async def test_no_address_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    vendor = Vendor((500, {}))
    caplog.set_level(logging.DEBUG)
    async with Loopback(vendor.app) as server:
        client = client_of(server)
        await failure_of(client, "PUT", json=BODY)
        await client.close()
        assert_nothing_secret(caplog.text)
        async with httpx.AsyncClient() as theirs:
            await theirs.get(server.url + "/their-own-call")
    assert "their-own-call" in caplog.text, "the application's own calls are logged as before"


@pytest.mark.parametrize(
    "address", ["ftp://x", "https://", "qstash.upstash.io", f"https://u:{KEY}@x", f"https://x?t={KEY}", "https://x#y"]
)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(NotConfigured) as caught:
        HttpClient(address, service="Vendor", extra="qstash", credentials="VENDOR_KEY")
    assert_nothing_secret(str(caught.value))


@pytest.mark.parametrize("value", [f"{KEY}\n", f"{KEY}\r\nX: y", f"{KEY}ü", f"\0{KEY}"])
def test_a_header_that_is_none(value: str) -> None:
    with pytest.raises(ValueError, match="the header Authorization") as caught:
        HttpClient("https://x", service="V", extra="qstash", credentials="K", headers={"Authorization": value})
    assert_nothing_secret(str(caught.value))


@pytest.mark.parametrize("value", ["", ".", ".."])
async def test_a_value_that_would_lead_elsewhere(value: str) -> None:
    client = HttpClient("https://x", service="V", extra="qstash", credentials="K")
    with pytest.raises(ValueError, match="id of /v2/messages"):
        await client.call("DELETE", "/v2/messages/{id}", values={"id": value})


async def test_without_httpx_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    client = HttpClient("https://x", service="Vendor", extra="trigger_dev", credentials="K")
    with pytest.raises(NotConfigured, match=r"pip install 'cgk-jobs\[trigger_dev\]'"):
        await client.call("GET", "/")
