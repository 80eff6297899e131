"""Wake-ups handed over and taken back, at the service on this machine."""

from __future__ import annotations

import logging

import pytest
from tests.providers.qstash.conftest import Started
from tests.providers.qstash.harness import make_wakeup, provider_of

from cgk_jobs.errors import NotConfigured, ProviderUnavailable
from cgk_jobs.providers.provider import Handed
from cgk_jobs.testing.peers.qstash import QStashPeer
from cgk_jobs.wire.json import loads

LATER = 3_600.0


def handed(peer: QStashPeer) -> list[Handed]:
    return [Handed(str(message.deduplication_id), "default", message.id) for message in peer.messages.values()]


async def test_a_wakeup_is_a_message_of_ids(peer: QStashPeer, application: Started) -> None:
    provider = application()
    wakeup = make_wakeup(after=LATER)
    [receipt] = await provider.dispatch([wakeup])
    [message] = peer.messages.values()
    assert receipt == (wakeup.id, message.id, None)
    assert message.url.endswith("/jobs/providers/qstash")
    assert message.failure_callback == message.url + "/failed"
    assert message.deduplication_id == wakeup.id
    assert message.labels == ("tenant-rawdog",)
    assert (message.retries, message.timeout) == (3, 900.0)
    assert loads(message.body) == {
        "v": 1,
        "wakeup": wakeup.id,
        "queue": "default",
        "tenant": "rawdog",
        "run": wakeup.run_id,
        "task": "sync_order",
    }
    assert set(message.headers) == {"content-type"}


async def test_a_due_time_is_seconds_and_never_early(peer: QStashPeer, application: Started) -> None:
    provider = application()
    due = make_wakeup(after=LATER).due_at // 1_000_000 * 1_000_000
    for due_at, second in ((due, due // 1_000_000), (due + 1, due // 1_000_000 + 1)):
        [receipt] = await provider.dispatch([make_wakeup(due_at=due_at)])
        assert peer.messages[receipt.reference].not_before == second


async def test_how_much_is_done_at_a_time_is_told(peer: QStashPeer, application: Started) -> None:
    await application().dispatch([make_wakeup(after=LATER)])
    await application(parallelism=7, app="other").dispatch([make_wakeup(after=LATER)])
    await application(tenant_parallelism=2, retries=1, request_limit=60).dispatch([make_wakeup(after=LATER)])
    usual, other, each = peer.messages.values()
    assert (usual.parallelism, other.parallelism, each.parallelism) == (100, 7, 2)
    assert usual.flow_key != other.flow_key
    assert each.flow_key == f"{usual.flow_key}-tenant-rawdog"
    assert (each.retries, each.timeout) == (1, 60.0)


async def test_a_payload_goes_only_where_it_is_given(peer: QStashPeer, application: Started) -> None:
    small, large = '{"shown":[1,"ü"]}', '"' + "x" * 64_000 + '"'
    await application().dispatch([make_wakeup(after=LATER, payload=text) for text in (None, small, large)])
    bodies = [loads(message.body) for message in peer.messages.values()]
    assert [body.get("payload") for body in bodies] == [None, {"shown": [1, "ü"]}, None]


async def test_thousands_go_in_batches_in_order(peer: QStashPeer, application: Started) -> None:
    wakeups = [make_wakeup(after=LATER, tenant=f"t{n % 7}") for n in range(1_050)]
    receipts = await application().dispatch(wakeups)
    assert [receipt.wakeup_id for receipt in receipts] == [wakeup.id for wakeup in wakeups]
    assert [peer.messages[receipt.reference].deduplication_id for receipt in receipts] == [w.id for w in wakeups]
    assert len({receipt.reference for receipt in receipts}) == len(wakeups)


async def test_large_ones_share_no_request_that_is_too_large(peer: QStashPeer, application: Started) -> None:
    peer.limits.body = 100_000
    payload = '"' + "x" * 63_000 + '"'
    receipts = await application().dispatch([make_wakeup(after=LATER, payload=payload) for _ in range(40)])
    assert all(receipt.reference for receipt in receipts)


async def test_the_same_again_is_the_same_message(peer: QStashPeer, application: Started) -> None:
    provider = application()
    wakeups = [make_wakeup(after=LATER) for _ in range(3)]
    assert await provider.dispatch(wakeups) == await provider.dispatch(wakeups)
    assert len(peer.messages) == 3


@pytest.mark.parametrize("fault", ["broken", "broken_after", "limited", "garbled"])
async def test_one_failure_doubles_and_loses_nothing(peer: QStashPeer, application: Started, fault: str) -> None:
    provider = application()
    setattr(peer.faults, fault, 1)
    wakeups = [make_wakeup(after=LATER) for _ in range(3)]
    try:
        receipts = await provider.dispatch(wakeups)
    except ProviderUnavailable:
        # An answer that can't be understood is not taken for accepted: the relay hands all of them over again.
        assert fault == "garbled"
        receipts = await provider.dispatch(wakeups)
    assert {receipt.reference for receipt in receipts} == set(peer.messages)
    assert len(peer.messages) == 3


async def test_one_that_is_refused_leaves_the_others(peer: QStashPeer, application: Started) -> None:
    wakeups = [make_wakeup(after=after) for after in (LATER, 8 * 86_400, LATER)]
    receipts = await application().dispatch(wakeups)
    assert [bool(receipt.reference) for receipt in receipts] == [True, False, True]
    assert receipts[1].refused == "QStash refused the delay: it is longer than its plan allows"
    assert len(peer.messages) == 2


async def test_a_batch_refused_as_a_whole_is_halved_until_the_one_is_found(
    peer: QStashPeer, application: Started
) -> None:
    wakeups = [make_wakeup(after=LATER) for _ in range(9)]
    peer.faults.poison = wakeups[4].id
    receipts = await application().dispatch(wakeups)
    assert [receipt.wakeup_id for receipt in receipts] == [wakeup.id for wakeup in wakeups]
    assert [n for n, receipt in enumerate(receipts) if receipt.refused] == [4]
    assert receipts[4].refused == "QStash refused the message with 400"
    assert len(peer.messages) == 8


async def test_a_used_up_quota_is_no_refusal(peer: QStashPeer, application: Started) -> None:
    peer.limits.messages = 0
    with pytest.raises(ProviderUnavailable, match="quota"):
        await application().dispatch([make_wakeup()])


async def test_a_service_that_is_not_there(application: Started, peer: QStashPeer) -> None:
    environment = peer.environment("http://127.0.0.1:1/jobs") | {"QSTASH_URL": "http://127.0.0.1:1"}
    provider = provider_of(environment)
    with pytest.raises(ProviderUnavailable, match="QStash can't be reached"):
        await provider.dispatch([make_wakeup()])
    assert not (await provider.health()).ok
    await provider.close()


async def test_a_wrong_token_names_the_setting(peer: QStashPeer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = "A" * 40
    provider = provider_of(peer.environment("http://127.0.0.1:1/jobs") | {"QSTASH_TOKEN": wrong})
    with pytest.raises(NotConfigured, match="QSTASH_TOKEN") as caught:
        await provider.dispatch([make_wakeup()])
    health = await provider.health()
    await provider.close()
    assert not health.ok
    for text in (str(caught.value), health.reason, caplog.text, repr(provider)):
        assert wrong not in text


async def test_taken_back_is_gone(peer: QStashPeer, application: Started) -> None:
    provider = application()
    await provider.dispatch([make_wakeup(after=LATER) for _ in range(120)])
    taken = handed(peer)[:110]
    assert await provider.withdraw(taken) == [True] * 110
    assert len(peer.messages) == 10
    assert await provider.withdraw(taken) == [True] * 110, "what is not there will not ring"
    assert len(peer.messages) == 10


async def test_nothing_named_takes_nothing_back(peer: QStashPeer, application: Started) -> None:
    provider = application()
    await provider.dispatch([make_wakeup(after=LATER) for _ in range(3)])
    assert await provider.withdraw([]) == []
    odd = [Handed("w1", "default", reference) for reference in ("", "*", "a&url=x", "../messages")]
    assert await provider.withdraw(odd) == [False] * 4
    assert len(peer.messages) == 3


async def test_a_withdrawal_not_understood_is_not_done(peer: QStashPeer, application: Started) -> None:
    provider = application()
    await provider.dispatch([make_wakeup(after=LATER)])
    peer.faults.garbled = 1
    with pytest.raises(ProviderUnavailable, match="not known what is left"):
        await provider.withdraw(handed(peer))
