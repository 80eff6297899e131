"""The same against QStash itself, with the settings of an application in the environment: QSTASH_TOKEN and the others.

Some ten messages of the account's quota. What is made is removed. Nothing need listen at JOBS_PUBLIC_URL.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from tests.providers.qstash.harness import make_wakeup

from cgk_jobs.providers.provider import Handed, Plan, Receipt, Wakeup
from cgk_jobs.providers.qstash.provider import QStashProvider
from cgk_jobs.providers.qstash.schedules import prefix_of
from cgk_jobs.wire.ids import Nonces

NAMES = ("QSTASH_TOKEN", "QSTASH_CURRENT_SIGNING_KEY", "QSTASH_NEXT_SIGNING_KEY", "JOBS_PUBLIC_URL")
pytestmark = pytest.mark.skipif(
    not all(os.environ.get(name) for name in NAMES), reason=f"the real service: set {', '.join(NAMES)}"
)
APP = "cgk-jobs-live-test"


@pytest.fixture
async def provider() -> AsyncIterator[QStashProvider]:
    made = QStashProvider.from_settings(os.environ, app=APP)
    yield made
    await made.close()


def wakeup(*, after: float = 3_600.0) -> Wakeup:
    return make_wakeup(id=f"w{Nonces().draw():025d}", after=after)


def handed(receipts: list[Receipt]) -> list[Handed]:
    return [Handed(receipt.wakeup_id, "default", receipt.reference) for receipt in receipts]


async def test_the_keys_are_right(provider: QStashProvider) -> None:
    assert (await provider.health()).ok


async def test_handed_over_twice_and_taken_back(provider: QStashProvider) -> None:
    wakeups = [wakeup() for _ in range(3)]
    receipts = await provider.dispatch(wakeups)
    try:
        assert all(receipt.reference and receipt.refused is None for receipt in receipts)
        assert await provider.dispatch(wakeups) == receipts
    finally:
        assert await provider.withdraw(handed(receipts)) == [True] * 3
    assert await provider.withdraw(handed(receipts)) == [True] * 3


async def test_a_delay_that_is_too_long_is_refused_alone(provider: QStashProvider) -> None:
    receipts = await provider.dispatch([wakeup(), wakeup(after=10 * 365 * 86_400.0)])
    try:
        assert [bool(receipt.reference) for receipt in receipts] == [True, False]
        assert receipts[1].refused
    finally:
        await provider.withdraw([item for item in handed(receipts) if item.reference])


async def test_the_clock_is_told_once(provider: QStashProvider) -> None:
    plan = Plan(APP, [], [], ring_every=3_600.0)
    try:
        assert len(await provider.sync(plan)) == 1
        assert await provider.sync(plan) == []
    finally:
        path, values = "/v2/schedules/{id}", {"id": f"{prefix_of(APP)}clock"}
        await provider._http.call("DELETE", path, values=values, expect=(404,))


async def test_dead_letters_are_listed(provider: QStashProvider) -> None:
    letters, _ = await provider.dead_letters.list()
    assert isinstance(letters, list)
