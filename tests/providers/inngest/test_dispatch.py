"""Handing over, taking back, registering, and health: what each of the vendor's answers is taken for."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

import inngest
import pytest
from tests.providers.qstash.harness import Ledger, make_wakeup

from cgk_jobs.errors import JobsError, NotConfigured, ProviderUnavailable
from cgk_jobs.providers.inngest.functions import App
from cgk_jobs.providers.inngest.provider import InngestProvider
from cgk_jobs.providers.provider import Handed, Plan, PlannedTask, PlannedTick, Receipt, Wakeup
from cgk_jobs.testing.peers.inngest import InngestPeer
from cgk_jobs.wire.json import loads

PUBLIC = "http://127.0.0.1:9/jobs"
PLAN = Plan(
    "default",
    [PlannedTask("sync_order", "default", 30.0, 3, None), PlannedTask("report", "reports", 900.0, 1, 2)],
    [PlannedTick("report", "15 7 * * *", "America/New_York"), PlannedTick("report", "0 6 * * *", "UTC")],
    PUBLIC,
)
Make = Callable[..., InngestProvider]


@pytest.fixture
async def peer() -> AsyncGenerator[InngestPeer, None]:
    async with InngestPeer() as made:
        yield made


@pytest.fixture
async def make(peer: InngestPeer) -> AsyncGenerator[Make, None]:
    made: list[InngestProvider] = []
    ledger = Ledger()

    def provider(**values: str) -> InngestProvider:
        one = InngestProvider.from_settings({**peer.environment(PUBLIC), **values})
        one.learn(PLAN)
        one.routes(ledger.deliver, ledger.drain)
        made.append(one)
        return one

    yield provider
    for one in made:
        await one.close()


def handed(wakeups: list[Wakeup], receipts: list[Receipt]) -> list[Handed]:
    return [Handed(one.id, one.queue, str(receipt.reference)) for one, receipt in zip(wakeups, receipts, strict=True)]


# -- functions -------------------------------------------------------------------------------------------------------


async def test_a_function_for_each_queue_and_one_clock(peer: InngestPeer, make: Make) -> None:
    (line,) = await make().sync(PLAN)
    assert "/providers/inngest" in line
    assert sorted(peer.functions) == ["cgk-default-clock", "cgk-default-queue-default", "cgk-default-queue-reports"]
    waking = peer.functions["cgk-default-queue-reports"]
    assert waking.events == {"cgk/default/queue/reports"}
    assert waking.url.startswith(f"{PUBLIC}/providers/inngest?fnId=")
    assert peer.functions["cgk-default-clock"].crons == ("TZ=UTC * * * * *",)


async def test_a_function_for_each_task_and_a_cron_for_each_schedule(peer: InngestPeer, make: Make) -> None:
    provider = make(JOBS_INNGEST_FUNCTION_EACH="1", JOBS_INNGEST_SCHEDULE_EACH="1", JOBS_INNGEST_TENANT_CONCURRENCY="3")
    await provider.sync(PLAN)
    assert sorted(peer.functions) == ["cgk-default-clock", "cgk-default-task-report", "cgk-default-task-sync_order"]
    crons = peer.functions["cgk-default-clock"].crons
    assert crons == ("TZ=UTC */5 * * * *", "TZ=America/New_York 15 7 * * *", "TZ=UTC 0 6 * * *")
    limits = peer.functions["cgk-default-task-report"].config["concurrency"]
    assert limits == [{"limit": 3, "key": "event.data.tenant"}]
    (receipt,) = await provider.dispatch([make_wakeup()])
    assert receipt.reference
    assert [run.function.id for run in peer.runs.values()] == ["cgk-default-task-sync_order"]


async def test_functions_are_split_over_apps_where_a_plan_asks_for_it(peer: InngestPeer, make: Make) -> None:
    lines = await make(JOBS_INNGEST_FUNCTIONS_PER_APP="2").sync(PLAN)
    assert len(lines) == 2
    assert {function.app for function in peer.functions.values()} == {"cgk-default", "cgk-default-2"}
    assert {function.url.partition("?")[0] for function in peer.functions.values()} == {
        f"{PUBLIC}/providers/inngest", f"{PUBLIC}/providers/inngest/2",
    }  # fmt: skip


async def test_a_key_the_vendor_does_not_know_is_not_taken_for_registered(peer: InngestPeer, make: Make) -> None:
    provider = make(INNGEST_SIGNING_KEY="signkey-prod-" + "00" * 32)
    with pytest.raises(ProviderUnavailable, match="did not register"):
        await provider.sync(PLAN)
    assert peer.functions == {}


# -- handing over ----------------------------------------------------------------------------------------------------


async def test_an_event_holds_ids_its_time_and_a_priority(peer: InngestPeer, make: Make) -> None:
    provider = make()
    await provider.sync(PLAN)
    wakeups = [make_wakeup(), make_wakeup(after=3_600, tenant="acme", priority=9, queue="reports")]
    receipts = await provider.dispatch(wakeups)
    assert all(receipt.reference for receipt in receipts)
    body = loads(peer.asked[-1].body)
    assert [event["id"] for event in body] == [wakeup.id for wakeup in wakeups]
    assert set(body[0]["data"]) == {"v", "wakeup", "queue", "tenant", "run", "task", "priority"}
    assert "ts" not in body[0]
    assert 0 <= body[1]["ts"] * 1_000 - wakeups[1].due_at < 1_000, "in milliseconds, never early"
    assert body[1]["data"]["priority"] == 9


async def test_many_go_in_requests_of_a_thousand(peer: InngestPeer, make: Make) -> None:
    provider = make()
    await provider.sync(PLAN)
    receipts = await provider.dispatch([make_wakeup(after=3_600) for _ in range(2_500)])
    assert len({receipt.reference for receipt in receipts}) == 2_500
    assert len([asked for asked in peer.asked if asked.target.startswith("/e/")]) == 3


@pytest.mark.parametrize("fault", ["broken", "broken_after", "limited"])
async def test_a_try_that_failed_is_repeated_and_has_one_effect(peer: InngestPeer, make: Make, fault: str) -> None:
    provider = make()
    await provider.sync(PLAN)
    setattr(peer.faults, fault, 2)
    receipts = await provider.dispatch([make_wakeup(after=3_600) for _ in range(20)])
    assert all(receipt.reference for receipt in receipts)
    assert len(peer.runs) == 20
    seeds = {asked.headers["x-inngest-event-id-seed"] for asked in peer.asked if asked.target.startswith("/e/")}
    assert len(seeds) == 1


async def test_what_is_handed_over_again_is_one_run(peer: InngestPeer, make: Make) -> None:
    provider = make()
    await provider.sync(PLAN)
    wakeup = make_wakeup(after=3_600)
    for _ in range(2):
        await provider.dispatch([wakeup])
    assert len(peer.runs) == 1


async def test_an_answer_of_another_form_is_not_taken_for_accepted(peer: InngestPeer, make: Make) -> None:
    peer.faults.garbled = 1
    with pytest.raises(ProviderUnavailable, match="unknown"):
        await make().dispatch([make_wakeup()])


async def test_one_that_is_refused_does_not_harm_the_others(peer: InngestPeer, make: Make) -> None:
    wakeups = [make_wakeup(), make_wakeup(task="x" * 300_000), make_wakeup()]
    receipts = await make().dispatch(wakeups)
    assert [bool(receipt.refused) for receipt in receipts] == [False, True, False]


async def test_a_wrong_event_key(make: Make) -> None:
    provider = make(INNGEST_EVENT_KEY="another-key-of-some-characters")
    with pytest.raises(NotConfigured) as refused:
        await provider.dispatch([make_wakeup()])
    assert "another-key" not in str(refused.value)


async def test_nobody_there(make: Make) -> None:
    provider = make(INNGEST_BASE_URL="http://127.0.0.1:9")
    assert not (await provider.health()).ok
    with pytest.raises(JobsError):
        await provider.dispatch([make_wakeup()])


async def test_health(peer: InngestPeer, make: Make) -> None:
    assert (await make().health()).ok
    wrong = await make(INNGEST_SIGNING_KEY="signkey-prod-" + "00" * 32).health()
    assert not wrong.ok
    assert "INNGEST_SIGNING_KEY" in wrong.reason
    assert "0000" not in wrong.reason


# -- taking back -----------------------------------------------------------------------------------------------------


async def test_a_few_are_cancelled_by_their_runs(peer: InngestPeer, make: Make) -> None:
    provider = make()
    await provider.sync(PLAN)
    wakeups = [make_wakeup(after=3_600) for _ in range(5)]
    back = handed(wakeups, await provider.dispatch(wakeups))
    assert await provider.withdraw(back[1:]) == [True] * 4
    assert [run.event["id"] for run in peer.waiting()] == [wakeups[0].id]


async def test_many_are_told_by_events_and_nobody_says_they_are_gone(peer: InngestPeer, make: Make) -> None:
    provider = make()
    await provider.sync(PLAN)
    wakeups = [make_wakeup(after=3_600) for _ in range(50)]
    back = handed(wakeups, await provider.dispatch(wakeups))
    assert await provider.withdraw(back[1:]) == [False] * 49
    assert [run.event["id"] for run in peer.waiting()] == [wakeups[0].id]


async def test_a_run_the_vendor_does_not_show_yet_is_not_said_to_be_gone(peer: InngestPeer, make: Make) -> None:
    provider = make()
    await provider.sync(PLAN)
    wakeups = [make_wakeup(after=3_600)]
    back = handed(wakeups, await provider.dispatch(wakeups))
    peer.faults.lagging = True
    assert await provider.withdraw(back) == [False]


# -- the double ------------------------------------------------------------------------------------------------------


async def test_the_vendor_s_own_client_gets_along_with_the_double(peer: InngestPeer) -> None:
    client = inngest.Inngest(
        app_id="x", api_base_url=peer.url, event_api_base_url=peer.url, event_key=peer.event_key,
        signing_key=peer.signing_key, is_production=True,
    )  # fmt: skip
    ids = await client.send([inngest.Event(name="a/b", data={"x": 1}), inngest.Event(name="a/c")])
    assert len(ids) == 2
    await App(client, []).close()


@pytest.mark.parametrize(
    "body", [{"events": [{"name": "a"}]}, [{"name": "a", "data": {}, "ts": 1_780_000_000}], [{"name": "", "data": {}}], [{"name": "a"}]]
)  # fmt: skip
async def test_the_double_refuses_what_the_vendor_refuses(peer: InngestPeer, make: Make, body: object) -> None:
    import httpx

    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{peer.url}/e/{peer.event_key}", json=body)
    assert answer.status_code == 400
