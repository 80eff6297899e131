"""What the service's calls lead to, from the message to the answer."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tests.providers.qstash.conftest import Started
from tests.providers.qstash.harness import Ledger, ask, make_wakeup

from cgk_jobs.clock import SystemClock
from cgk_jobs.errors import ProviderUnavailable
from cgk_jobs.providers.provider import Answer, Call
from cgk_jobs.testing.peers.qstash import QStashPeer, sign
from cgk_jobs.wire.json import dumps

BUSY = Answer("busy", retry_after=12.2)
DONE = Answer("settled", outcome="completed")


def statuses(peer: QStashPeer) -> list[int]:
    return [rung.status for rung in peer.rung]


async def test_a_wakeup_that_is_due_rings(peer: QStashPeer, application: Started, ledger: Ledger) -> None:
    wakeup = make_wakeup()
    await application().dispatch([wakeup])
    await peer.settled()
    assert ledger.calls == [Call(wakeup.id, wakeup.queue, wakeup.tenant_key, wakeup.run_id, wakeup.task, budget=900.0)]
    assert statuses(peer) == [200]
    assert (dict(peer.messages), dict(peer.dead)) == ({}, {})


@pytest.mark.parametrize(
    ("answer", "status"),
    [(DONE, 200), (Answer("settled", outcome="failed"), 200), (Answer("nothing", "paused"), 200)],
)
async def test_an_outcome_in_the_ledger_ends_it(
    peer: QStashPeer, application: Started, ledger: Ledger, answer: Answer, status: int
) -> None:
    ledger.answers = [answer]
    await application().dispatch([make_wakeup()])
    await peer.settled()
    assert statuses(peer) == [status]


@pytest.mark.parametrize(
    ("first", "status"),
    [(BUSY, 409), (ProviderUnavailable("the ledger, with its password"), 503), (RuntimeError("a payload"), 500)],
)
async def test_what_passes_is_rung_again(
    peer: QStashPeer,
    application: Started,
    ledger: Ledger,
    caplog: pytest.LogCaptureFixture,
    first: Answer | Exception,
    status: int,
) -> None:
    caplog.set_level(logging.DEBUG)
    ledger.answers = [first, DONE]
    await application().dispatch([make_wakeup()])
    while peer.messages:
        await peer.settled()
    assert statuses(peer) == [status, 200]
    assert ledger.calls[0] == ledger.calls[1]
    assert "a payload" not in caplog.text
    assert "password" not in caplog.text


async def test_how_long_a_busy_run_asks_for(application: Started, ledger: Ledger, peer: QStashPeer) -> None:
    provider = application()
    endpoint = provider.routes(ledger.deliver, ledger.drain)["/providers/qstash"]
    url = await dispatched_to(provider, peer)
    for answer, wait in ((BUSY, "13"), (Answer("busy"), "30"), (Answer("busy", retry_after=0.0), "1")):
        ledger.answers = [answer]
        status, headers, _ = await ask(endpoint, *signed_call(peer, url))
        assert (status, headers["retry-after"]) == (409, wait)
    ledger.answers = [ProviderUnavailable("gone", retry_after=7.5)]
    status, headers, _ = await ask(endpoint, *signed_call(peer, url))
    assert (status, headers["retry-after"]) == (503, "8")


async def dispatched_to(provider: Any, peer: QStashPeer) -> str:
    """The address at which the application is called."""
    await provider.dispatch([make_wakeup(after=3_600)])
    [message] = peer.messages.values()
    return message.url


def signed_call(peer: QStashPeer, url: str, **claims: Any) -> tuple[bytes, dict[str, str]]:
    """The body of a wake-up and headers, as the service sends them."""
    wakeup = make_wakeup()
    body = dumps(
        {"v": 1, "wakeup": wakeup.id, "queue": "q", "tenant": "rawdog", "run": wakeup.run_id, "task": "t"}
    ).encode()
    now = SystemClock().micros() / 1e6
    return body, {"Upstash-Signature": sign(peer.current_signing_key, url, body, now, **claims)}


async def test_a_refused_wakeup_is_not_tried_again(peer: QStashPeer, application: Started, ledger: Ledger) -> None:
    ledger.answers = [Answer("refused", "another tenant's")]
    await application().dispatch([make_wakeup()])
    await peer.settled()
    assert statuses(peer) == [489, 200], "once, and the report of it"
    assert len(ledger.calls) == 1
    assert len(peer.dead) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b'{"v":2,"wakeup":"w","queue":"q","tenant":"t","run":"r","task":"k"}',
        b'{"v":1,"wakeup":"w","queue":"q","tenant":7,"run":"r","task":"k"}',
        b'{"v":1,"wakeup":"w","queue":"q","tenant":"","run":"r","task":"k"}',
        b'{"v":1,"wakeup":"w","queue":"q","tenant":"' + b"t" * 300 + b'","run":"r","task":"k"}',
    ],
)
async def test_a_signed_message_that_is_none_of_ours(
    peer: QStashPeer, application: Started, ledger: Ledger, body: bytes
) -> None:
    provider = application()
    url = await dispatched_to(provider, peer)
    endpoint = provider.routes(ledger.deliver, ledger.drain)["/providers/qstash"]
    now = SystemClock().micros() / 1e6
    status, headers, _ = await ask(
        endpoint, body, {"Upstash-Signature": sign(peer.current_signing_key, url, body, now)}
    )
    assert (status, headers["upstash-nonretryable-error"]) == (489, "true")
    assert ledger.calls == []


async def test_given_up_while_the_application_was_away_and_rung_when_it_is_back(
    peer: QStashPeer, application: Started, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    gone = ProviderUnavailable("gone")
    ledger.answers = [gone, gone, gone, gone, DONE]
    wakeup = make_wakeup()
    await application().dispatch([wakeup])
    while peer.messages:
        await peer.settled()
    assert statuses(peer) == [503, 503, 503, 503, 200]
    assert peer.rung[-1].url.endswith("/providers/qstash/failed")
    assert [call.wakeup_id for call in ledger.calls] == [wakeup.id] * 5
    assert f"gave up wake-up {wakeup.id} (tenant rawdog, task sync_order) after 4 tries" in caplog.text


async def test_a_report_that_is_none(peer: QStashPeer, application: Started, ledger: Ledger) -> None:
    provider = application()
    url = await dispatched_to(provider, peer) + "/failed"
    endpoint = provider.routes(ledger.deliver, ledger.drain)["/providers/qstash/failed"]
    for body in (b"{}", b'{"sourceBody":"%%%"}', b'{"sourceBody":"e30="}', b'{"sourceBody":7}', b"no"):
        now = SystemClock().micros() / 1e6
        status, _, _ = await ask(endpoint, body, {"Upstash-Signature": sign(peer.current_signing_key, url, body, now)})
        assert status == 489
    assert ledger.calls == []


@pytest.mark.parametrize(("copies", "shuffled"), [(3, True)])
async def test_doubled_and_out_of_order(
    peer: QStashPeer, application: Started, ledger: Ledger, copies: int, shuffled: bool
) -> None:
    peer.faults.copies, peer.faults.shuffled = copies, shuffled
    wakeups = [make_wakeup() for _ in range(20)]
    await application().dispatch(wakeups)
    await peer.settled()
    assert sorted(call.wakeup_id for call in ledger.calls) == sorted([w.id for w in wakeups] * 3)
    assert set(statuses(peer)) == {200}, "each delivery has a token of its own"


async def test_the_clock_drains(peer: QStashPeer, application: Started, ledger: Ledger) -> None:
    provider = application(drain_seconds=7.0)
    url = await dispatched_to(provider, peer) + "/clock"
    endpoint = provider.routes(ledger.deliver, ledger.drain)["/providers/qstash/clock"]
    status, _, body = await ask(endpoint, *signed_call(peer, url))
    assert (status, body, ledger.drained) == (200, b'{"ticks":1,"runs":2,"left":0}', [7.0])


async def test_a_token_for_one_address_is_none_for_another(
    peer: QStashPeer, application: Started, ledger: Ledger
) -> None:
    provider = application()
    url = await dispatched_to(provider, peer)
    routes = provider.routes(ledger.deliver, ledger.drain)
    for path in ("/providers/qstash/clock", "/providers/qstash/failed"):
        assert (await ask(routes[path], *signed_call(peer, url)))[0] == 401
    assert (await ask(routes["/providers/qstash"], *signed_call(peer, url + "/clock")))[0] == 401
    assert (await ask(routes["/providers/qstash"], *signed_call(peer, url + "/")))[0] == 401
    assert (ledger.calls, ledger.drained) == ([], [])


async def test_keys_are_changed_without_a_refused_call(peer: QStashPeer, application: Started, ledger: Ledger) -> None:
    provider = application()
    for round_ in range(2):
        await provider.dispatch([make_wakeup() for _ in range(5)])
        await peer.settled()
        assert len(ledger.calls) == 5 * (round_ + 1)
        peer.rotate()
    await provider.dispatch([make_wakeup()])
    while peer.messages:
        await peer.settled()
    assert set(statuses(peer)) == {200, 401}, "a second change without new settings locks the service out"
    assert len(ledger.calls) == 10
    await application().dispatch([make_wakeup()])
    await peer.settled()
    assert len(ledger.calls) == 11, "and new settings let it in again"


async def test_calls_signed_by_nobody_reach_nothing(peer: QStashPeer, application: Started, ledger: Ledger) -> None:
    peer.faults.forged = True
    await application().dispatch([make_wakeup()])
    while peer.messages:
        await peer.settled()
    assert set(statuses(peer)) == {401}
    assert ledger.calls == []
