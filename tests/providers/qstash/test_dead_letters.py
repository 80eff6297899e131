"""What the service has given up, and what is taken back of one tenant alone."""

from __future__ import annotations

import pytest
from tests.providers.qstash.conftest import Started
from tests.providers.qstash.harness import Ledger, make_wakeup

from cgk_jobs.errors import ProviderUnavailable
from cgk_jobs.providers.provider import Answer
from cgk_jobs.testing.peers.qstash import QStashPeer


async def given_up(peer: QStashPeer, provider: object, ledger: Ledger, tenants: list[str]) -> None:
    ledger.answers = [Answer("refused")]
    await provider.dispatch([make_wakeup(tenant=tenant) for tenant in tenants])  # type: ignore[attr-defined]
    while peer.messages:
        await peer.settled()
    ledger.answers = [Answer("settled", outcome="completed")]
    ledger.calls.clear()


async def test_they_are_listed_by_tenant_and_by_page(peer: QStashPeer, application: Started, ledger: Ledger) -> None:
    provider = application()
    await given_up(peer, provider, ledger, ["rawdog"] * 130 + ["acme"] * 2)
    letters, cursor = await provider.dead_letters.list()
    assert len(letters) == 100
    rest, end = await provider.dead_letters.list(cursor=cursor)
    assert (len(rest), end) == (32, "")
    assert {letter.id for letter in [*letters, *rest]} == set(peer.dead)
    theirs, _ = await provider.dead_letters.list(tenant_key="acme")
    assert [letter.labels for letter in theirs] == [("tenant-acme",)] * 2
    assert {letter.status for letter in theirs} == {489}


async def test_they_are_rung_again(peer: QStashPeer, application: Started, ledger: Ledger) -> None:
    provider = application()
    await given_up(peer, provider, ledger, ["rawdog", "acme"])
    letters, _ = await provider.dead_letters.list(tenant_key="rawdog")
    assert await provider.dead_letters.replay([letters[0].id]) == 1
    await peer.settled()
    assert [call.tenant_key for call in ledger.calls] == ["rawdog"]
    assert await provider.dead_letters.replay([letters[0].id]) == 0, "it is gone"
    assert await provider.dead_letters.forget(list(peer.dead)) == 1
    assert peer.dead == {}
    assert await provider.dead_letters.forget([letters[0].id]) == 0


async def test_one_tenants_wakeups_are_taken_back(peer: QStashPeer, application: Started) -> None:
    provider = application()
    await provider.dispatch([make_wakeup(after=60, tenant=tenant) for tenant in ["rawdog"] * 230 + ["acme"] * 3])
    assert await provider.dead_letters.withdraw_tenant("rawdog") == 230
    assert {message.labels for message in peer.messages.values()} == {("tenant-acme",)}
    assert await provider.dead_letters.withdraw_tenant("rawdog") == 0


@pytest.mark.parametrize("tenant", ["", " ", "*", "a,b", "a&url=", "a" * 129])
async def test_nothing_is_taken_back_without_a_tenant(peer: QStashPeer, application: Started, tenant: str) -> None:
    provider = application()
    await provider.dispatch([make_wakeup(after=60)])
    with pytest.raises(ValueError, match="a tenant's key"):
        await provider.dead_letters.withdraw_tenant(tenant)
    with pytest.raises(ValueError, match="a tenant's key"):
        await provider.dead_letters.list(tenant_key=tenant)
    assert len(peer.messages) == 1


@pytest.mark.parametrize("ids", ["dlq", [""], ["a/b"], ["a", "*"]])
async def test_nothing_is_rung_or_forgotten_without_ids(
    peer: QStashPeer, application: Started, ledger: Ledger, ids: list[str]
) -> None:
    provider = application()
    await given_up(peer, provider, ledger, ["rawdog"])
    for action in (provider.dead_letters.replay, provider.dead_letters.forget):
        with pytest.raises(ValueError, match="a list of ids"):
            await action(ids)
        assert await action([]) == 0
    assert len(peer.dead) == 1


async def test_an_answer_not_understood_is_an_error(peer: QStashPeer, application: Started) -> None:
    provider = application()
    peer.faults.garbled = 2
    with pytest.raises(ProviderUnavailable, match="something unknown"):
        await provider.dead_letters.list()
    with pytest.raises(ProviderUnavailable, match="something unknown"):
        await provider.dead_letters.withdraw_tenant("rawdog")
