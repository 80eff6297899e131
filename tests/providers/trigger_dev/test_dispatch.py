"""Handing over, taking back, and health: what each of the vendor's answers is taken for."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from tests.providers.qstash.harness import make_wakeup

from cgk_jobs.errors import JobsError, NotConfigured, ProviderUnavailable
from cgk_jobs.providers.provider import Handed, Plan, Wakeup
from cgk_jobs.providers.trigger_dev.provider import TriggerDevProvider
from cgk_jobs.providers.trigger_dev.states import STATES, state_of
from cgk_jobs.testing.peers.trigger_dev import TriggerDevPeer
from cgk_jobs.wire.json import loads

PUBLIC = "http://127.0.0.1:9/jobs"
Made = Callable[..., TriggerDevProvider]


@pytest.fixture
async def peer() -> AsyncGenerator[TriggerDevPeer, None]:
    async with TriggerDevPeer(tasks=["sync_order", "cgk-clock"]) as made:
        made.faults.lost = 10**9  # nobody calls back here
        yield made


@pytest.fixture
async def make(peer: TriggerDevPeer) -> AsyncGenerator[Made, None]:
    made: list[TriggerDevProvider] = []

    def provider(**values: str) -> TriggerDevProvider:
        made.append(TriggerDevProvider.from_settings({**peer.environment(PUBLIC), **values}))
        return made[-1]

    yield provider
    for one in made:
        await one.close()


def handed(wakeups: list[Wakeup], references: list[str]) -> list[Handed]:
    return [Handed(wakeup.id, wakeup.queue, reference) for wakeup, reference in zip(wakeups, references, strict=True)]


# -- handing over ----------------------------------------------------------------------------------------------------


async def test_few_are_triggered_one_by_one_and_named(peer: TriggerDevPeer, make: Made) -> None:
    wakeups = [make_wakeup(), make_wakeup(after=60, tenant="acme", priority=9)]
    receipts = await make().dispatch(wakeups)
    assert [receipt.wakeup_id for receipt in receipts] == [wakeup.id for wakeup in wakeups]
    now, later = [peer.runs[str(receipt.reference)] for receipt in receipts]
    assert (now.task, now.concurrency_key, now.tags) == (
        "sync_order", "rawdog", ("tenant:rawdog", f"wakeup:{wakeups[0].id}"),
    )  # fmt: skip
    assert later.priority == 9
    assert 0 <= later.due_at - wakeups[1].due_at < 1_000, "in milliseconds, never early"


async def test_many_go_in_batches_of_five_hundred(peer: TriggerDevPeer, make: Made) -> None:
    receipts = await make().dispatch([make_wakeup() for _ in range(1_001)])
    assert len(peer.runs) == 1_001
    assert all(receipt.reference and not receipt.refused for receipt in receipts)
    assert [asked.target for asked in peer.asked].count("/api/v3/batches") == 2


async def test_what_is_handed_over_again_is_the_same_run(peer: TriggerDevPeer, make: Made) -> None:
    wakeup = make_wakeup()
    first, again = [(await make().dispatch([wakeup]))[0] for _ in range(2)]
    assert first.reference == again.reference
    await make().dispatch([wakeup, *[make_wakeup() for _ in range(10)]])
    assert len(peer.runs) == 11


@pytest.mark.parametrize("fault", ["broken", "broken_after", "limited"])
@pytest.mark.parametrize("count", [1, 20])
async def test_a_try_that_failed_is_repeated_and_has_one_effect(
    peer: TriggerDevPeer, make: Made, fault: str, count: int
) -> None:
    setattr(peer.faults, fault, 2)
    receipts = await make().dispatch([make_wakeup() for _ in range(count)])
    assert all(receipt.reference for receipt in receipts)
    assert len(peer.runs) == count


async def test_a_task_that_is_not_deployed_is_refused_and_the_others_are_not(make: Made) -> None:
    wakeups = [make_wakeup(), make_wakeup(task="forgotten"), make_wakeup()]
    receipts = await make().dispatch(wakeups)
    assert [bool(receipt.refused) for receipt in receipts] == [wakeup.task == "forgotten" for wakeup in wakeups]
    assert "trigger-dev generate" in str(receipts[1].refused)


async def test_a_plan_s_limit_is_no_refusal_of_the_wake_up(peer: TriggerDevPeer, make: Made) -> None:
    peer.faults.full = True
    with pytest.raises(ProviderUnavailable, match="limit"):
        await make().dispatch([make_wakeup()])


@pytest.mark.parametrize("count", [1, 20])
async def test_an_answer_of_another_form_is_not_taken_for_accepted(
    peer: TriggerDevPeer, make: Made, count: int
) -> None:
    peer.faults.garbled = 1
    with pytest.raises(ProviderUnavailable, match="unknown"):
        await make().dispatch([make_wakeup() for _ in range(count)])


async def test_no_payload_but_a_shared_one(peer: TriggerDevPeer, make: Made) -> None:
    await make().dispatch([make_wakeup(), make_wakeup(payload='{"shared": true}')])
    first, second = [loads(asked.body)["payload"] for asked in peer.asked]
    assert set(first) == {"v", "wakeup", "queue", "tenant", "run", "task"}
    assert second["payload"] == {"shared": True}


async def test_the_version_and_one_key_go_with_each_request(peer: TriggerDevPeer, make: Made) -> None:
    peer.faults.broken = 1
    await make().dispatch([make_wakeup()])
    first, second = peer.asked
    assert first.headers["x-trigger-api-version"] == "2025-07-16"
    key = "x-trigger-request-idempotency-key"
    assert first.headers[key] == second.headers[key]


# -- taking back -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 30])
async def test_those_and_no_others_are_taken_back(peer: TriggerDevPeer, make: Made, count: int) -> None:
    peer.faults.lost = 0
    provider = make()
    wakeups = [make_wakeup(after=3_600) for _ in range(count)]
    receipts = await provider.dispatch(wakeups)
    back = handed(wakeups, [str(receipt.reference) for receipt in receipts])[1:]
    assert await provider.withdraw(back) == [True] * len(back)
    assert [run.status for run in peer.waiting()] == ["DELAYED"]
    assert peer.waiting()[0].tags[1] == f"wakeup:{wakeups[0].id}"


async def test_nothing_asks_for_nothing(peer: TriggerDevPeer, make: Made) -> None:
    assert await make().withdraw([]) == []
    assert peer.asked == []


async def test_what_is_not_found_is_not_said_to_be_gone(peer: TriggerDevPeer, make: Made) -> None:
    wakeups = [make_wakeup(after=3_600) for _ in range(10)]
    receipts = await make().dispatch(wakeups)  # lost: the list does not show them
    gone = await make().withdraw(handed(wakeups, [str(receipt.reference) for receipt in receipts]))
    assert gone == [False] * 10


def test_every_state_of_the_vendor_has_a_name_here() -> None:
    assert {state_of(native) for native in STATES} == {
        "queued", "scheduled", "running", "waiting", "retrying", "completed", "failed", "cancelled", "expired",
    }  # fmt: skip
    for unknown in ("", "DONE", None, 3):
        with pytest.raises(ProviderUnavailable):
            state_of(unknown)


# -- health and keys -------------------------------------------------------------------------------------------------


async def test_all_is_well(make: Made) -> None:
    health = await make().health()
    assert (health.ok, health.warnings) == (True, ())


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"type": "STAGING"}, "another environment's"),
        ({"type": None}, "unknown"),
        ({"project": "proj_another00000"}, "another project"),
        ({"schedules": []}, "no clock"),
        ({"schedules": [{"task": "cgk-clock", "active": False}]}, "switched off"),
        ({"schedules": None}, "unknown"),
    ],
)
async def test_health_says_what_is_wrong(peer: TriggerDevPeer, make: Made, facts: dict[str, Any], said: str) -> None:
    peer.environment_facts.update(facts)
    health = await make().health()
    assert said in health.reason + "".join(health.warnings)


async def test_a_revoked_key_is_said_to_be(peer: TriggerDevPeer, make: Made) -> None:
    wrong = "tr_prod_" + "0" * 32
    provider = make(TRIGGER_SECRET_KEY=wrong)
    health = await provider.health()
    assert not health.ok
    assert wrong not in health.reason
    with pytest.raises(NotConfigured) as refused:
        await provider.dispatch([make_wakeup()])
    assert wrong not in str(refused.value)


async def test_nobody_there(make: Made) -> None:
    provider = make(TRIGGER_API_URL="http://127.0.0.1:9")
    assert not (await provider.health()).ok
    with pytest.raises(JobsError):
        await provider.dispatch([make_wakeup()])


async def test_two_public_addresses_are_one_too_many(make: Made) -> None:
    with pytest.raises(NotConfigured, match="JOBS_PUBLIC_URL"):
        await make().sync(Plan("shop", [], [], "https://elsewhere.example/jobs"))
