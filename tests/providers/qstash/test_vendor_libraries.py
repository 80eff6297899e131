"""The service on this machine as the vendor's own libraries see it, and our calls beside theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from qstash import AsyncQStash, Receiver
from qstash.errors import QStashError, SignatureError
from tests.providers.qstash.conftest import Started
from tests.providers.qstash.harness import Ledger, make_wakeup
from tests.servers.node import NodeProject, node_project

from cgk_jobs.clock import SystemClock
from cgk_jobs.providers.provider import Answer, Plan
from cgk_jobs.providers.qstash.tokens import TokenRefused, fits_body, open_token
from cgk_jobs.testing.peers.qstash import QStashPeer, sign
from cgk_jobs.wire.json import loads

Vendor = Callable[[str], Any]

DESTINATION = "https://shop.example/jobs/providers/qstash"
LATER = 3_600
FIELDS: dict[str, Any] = {
    "url": DESTINATION,
    "body": {"v": 1, "tenant": "rawdog"},
    "retries": 3,
    "label": "tenant-rawdog",
    "failure_callback": DESTINATION + "/failed",
    "timeout": 900,
    "flow_control": {"key": "calls-tenant-rawdog", "parallelism": 2},
}


@pytest.fixture(scope="session")
def node() -> NodeProject:
    return node_project(Path(__file__).parent / "node")


@pytest.fixture
async def vendor(peer: QStashPeer) -> AsyncIterator[Vendor]:
    """Makes the vendor's Python client, which has no end of its own. Untyped: its types want a literal for each field."""
    clients: list[Any] = []

    def make(token: str) -> Any:
        clients.append(AsyncQStash(token, base_url=peer.url, retry=False))
        return clients[-1]

    yield make
    for client in clients:
        await client.http._client.aclose()


def now() -> int:
    return SystemClock().micros() // 1_000_000


def batched(peer: QStashPeer) -> dict[str, Any]:
    """The first item of the last batch that came, header names in lower case."""
    body = next(asked.body for asked in reversed(peer.asked) if asked.target == "/v2/batch")
    item: dict[str, Any] = loads(body)[0]
    return {**item, "headers": {name.lower(): value for name, value in item["headers"].items()}}


OWN = {"upstash-deduplication-id", "upstash-not-before", "upstash-flow-control-key"}
"""Headers whose values are each caller's own."""


def compared(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: "" if name in OWN else value for name, value in headers.items()}


async def test_the_python_client(peer: QStashPeer, vendor: Vendor) -> None:
    client = vendor(peer.token)
    one, two = [{**FIELDS, "deduplication_id": f"w-py-{n}", "not_before": now() + LATER} for n in (1, 2)]
    first, second = await client.message.batch_json([one, two])
    again = await client.message.publish_json(**one)
    assert (again.message_id, again.deduplicated) == (first.message_id, True)
    found = await client.message.get(second.message_id)
    assert (found.url, found.label, found.max_retries) == (DESTINATION, "tenant-rawdog", 3)
    assert found.flow_control is not None
    assert (found.flow_control.key, found.flow_control.parallelism) == ("calls-tenant-rawdog", 2)
    assert found.not_before == one["not_before"] * 1000
    assert await client.message.cancel_many([first.message_id]) == 1
    await client.message.cancel(second.message_id)
    with pytest.raises(QStashError, match="404"):
        await client.message.get(second.message_id)
    await client.message.enqueue(queue="q", url=DESTINATION, body=b"x", deduplication_id="w-py-3")
    await client.message.publish(url=DESTINATION, body=b"x", delay="1h30m")
    assert await client.message.cancel_all() >= 1, "without a filter: everything"
    assert peer.messages == {}
    id = await client.schedule.create(
        destination=DESTINATION, cron="CRON_TZ=America/New_York 0 4 * * *", schedule_id="cgk-py-clock"
    )
    await client.schedule.pause(id)
    schedule = await client.schedule.get(id)
    assert (schedule.cron, schedule.paused) == ("CRON_TZ=America/New_York 0 4 * * *", True)
    assert [entry.schedule_id for entry in await client.schedule.list()] == [id]
    await client.schedule.resume(id)
    await client.schedule.delete(id)
    keys = await client.signing_key.get()
    assert (keys.current, keys.next) == peer.signing_keys()
    assert (await client.signing_key.rotate()).current == keys.next == peer.current_signing_key
    with pytest.raises(QStashError, match="max delay"):
        await client.message.publish_json(**FIELDS, not_before=(now() + LATER) * 1000)
    with pytest.raises(QStashError, match="401"):
        await vendor("wrong").signing_key.get()


async def test_the_python_client_finds_our_dead_letters(
    peer: QStashPeer, application: Started, ledger: Ledger, vendor: Vendor
) -> None:
    ledger.answers = [Answer("refused")]
    await application().dispatch([make_wakeup()])
    while peer.messages:
        await peer.settled()
    client = vendor(peer.token)
    [dead] = (await client.dlq.list(filter={"label": "tenant-rawdog"})).messages
    assert dead.response_status == 489
    assert (await client.dlq.get(dead.dlq_id)).message_id == dead.message_id
    states = [line.state.value for line in (await client.log.list(filter={"message_id": dead.message_id})).logs]
    assert states == ["FAILED", "ACTIVE", "CREATED"]
    await client.dlq.delete(dead.dlq_id)
    assert peer.dead == {}


async def test_our_messages_are_written_as_the_vendors_clients_write_them(
    peer: QStashPeer, application: Started, vendor: Vendor, node: NodeProject
) -> None:
    provider = application(tenant_parallelism=2)
    await provider.dispatch([make_wakeup(after=LATER)])
    ours = batched(peer)
    client = vendor(peer.token)
    public = ours["destination"]
    theirs = {**FIELDS, "url": public, "failure_callback": public + "/failed", "method": "POST"}
    await client.message.batch_json([{**theirs, "deduplication_id": "w-py", "not_before": now() + LATER}])
    python = batched(peer)
    assert compared(ours["headers"]) == compared(python["headers"])
    assert ours.keys() - python.keys() == set()
    script = {"url": peer.url, "token": peer.token, "destination": public, "notBefore": now() + LATER}
    await asyncio.to_thread(node.ask, "client.mjs", script)
    assert compared(ours["headers"]) == compared(batched(peer)["headers"])
    assert len(ours["headers"]["upstash-not-before"]) == len(batched(peer)["headers"]["upstash-not-before"]) == 10


async def test_our_schedule_is_written_as_the_vendors_client_writes_it(
    peer: QStashPeer, application: Started, vendor: Vendor
) -> None:
    await application().sync(Plan("shop", [], []))
    [ours] = [asked for asked in peer.asked if asked.method == "POST"]
    [schedule] = peer.schedules.values()
    client = vendor(peer.token)
    await client.schedule.create(
        destination=schedule.message.url,
        cron=schedule.text,
        schedule_id=schedule.id,
        retries=1,
        method="POST",
        content_type="application/json",
        body=schedule.message.body,
    )
    theirs = peer.asked[-1]
    assert (ours.method, ours.target, ours.body) == (theirs.method, theirs.target, theirs.body)
    own = {"content-type", "content-length", *(name for name in ours.headers if name.startswith("upstash-"))}
    assert {name: ours.headers[name] for name in own} == {name: theirs.headers[name] for name in own}


async def test_the_javascript_client(peer: QStashPeer, node: NodeProject) -> None:
    question = {"url": peer.url, "token": peer.token, "destination": DESTINATION, "notBefore": now() + LATER}
    out = await asyncio.to_thread(node.ask, "client.mjs", question)
    assert out["again"] == {"messageId": out["batch"][0]["messageId"], "deduplicated": True}
    assert (out["message"]["url"], out["message"]["label"]) == (DESTINATION, "tenant-rawdog")
    assert out["cancelled"] == {"cancelled": 2}
    assert (out["gone"], out["wrong"]) == (404, 401)
    assert out["logs"] == ["CANCELED", "CREATED"]
    assert out["schedule"] == {"scheduleId": "cgk-js-clock"}
    assert out["listed"] == [["cgk-js-clock", "CRON_TZ=America/New_York 0 4 * * *"]]
    assert (out["paused"], out["dead"]) == (True, [])
    assert (dict(peer.messages), dict(peer.schedules)) == ({}, {})


async def test_three_readers_agree_on_tokens(peer: QStashPeer, node: NodeProject) -> None:
    """Both of the vendor's accept what the service here signs, and refuse what this package refuses of it."""
    body = '{"v":1,"name":"ü"}'
    content = body.encode()
    current, following = peer.signing_keys()
    cases = [
        (sign(current, DESTINATION, content, now()), True),
        (sign(following, DESTINATION, content, now()), True),
        (sign("sig_" + "x" * 28, DESTINATION, content, now()), False),
        (sign(current, DESTINATION + "/other", content, now()), False),
        (sign(current, DESTINATION, content + b" ", now()), False),
        (sign(current, DESTINATION, content, now() - 301), False),
        (sign(current, DESTINATION, content, now() + 3_600), False),
        (sign(current, DESTINATION, content, now(), iss="other"), False),
    ]
    for token, good in cases:
        assert _opens(peer, token, content) == good
        assert _python_opens(peer, token, body) == good
    question = {
        "current": current,
        "next": following,
        "calls": [{"signature": token, "body": body, "url": DESTINATION} for token, _ in cases],
    }
    answers = await asyncio.to_thread(node.ask, "receiver.mjs", question)
    assert [answer is True for answer in answers] == [good for _, good in cases]


def _opens(peer: QStashPeer, token: str, body: bytes) -> bool:
    try:
        return fits_body(open_token(token, [key.encode() for key in peer.signing_keys()], DESTINATION, now()), body)
    except TokenRefused:
        return False


def _python_opens(peer: QStashPeer, token: str, body: str) -> bool:
    try:
        Receiver(*peer.signing_keys()).verify(signature=token, body=body, url=DESTINATION)
    except SignatureError:
        return False
    return True
