import json

from tests.unit.examples_services.bench import TENANT, Bench

from cgk_jobs.events.catalogue.commerce import OrderPaid, OrderReceived
from cgk_jobs.examples.commerce import webhooks_in

ORDER = json.dumps({"order_id": "1", "total_amount_cents": 250, "currency": "EUR"})


def accept(bench: Bench, event_id: str, topic: str = "orders/paid", body: str = ORDER) -> bool:
    with bench.app.shops.current() as db:
        return webhooks_in.accept(db, event_id, topic, body, bench.now)


def states(bench: Bench) -> dict[str, tuple[str, int]]:
    return {row[0]: row[1:] for row in bench.rows("SELECT event_id, state, attempts FROM inbound_events")}


async def test_what_waits_is_handed_on_once_with_the_tenant_it_came_in_for(bench: Bench) -> None:
    assert accept(bench, "e1")
    assert not accept(bench, "e1")
    accept(bench, "e2", "orders/create", json.dumps({"tenant_id": "other", **json.loads(ORDER)}))
    bench.clock.advance(120)
    assert await bench.run("webhooks-retry-failed") == 2
    assert await bench.run("webhooks-retry-failed") == 0
    assert sorted(bench.ctx.sent, key=lambda event: event.event_name) == [
        OrderPaid(tenant_id=TENANT, order_id="1", total_amount_cents=250, currency="EUR"),
        OrderReceived(tenant_id=TENANT, order_id="1", total_amount_cents=250, currency="EUR"),
    ]
    assert states(bench) == {"e1": ("done", 1), "e2": ("done", 1)}


async def test_a_fresh_event_is_left_to_the_process_that_took_it_in(bench: Bench) -> None:
    accept(bench, "e1")
    assert await bench.run("webhooks-retry-failed") == 0
    assert states(bench) == {"e1": ("pending", 0)}


async def test_what_cannot_be_understood_is_set_aside_and_the_rest_goes_on(bench: Bench) -> None:
    accept(bench, "a-broken", body="{")
    accept(bench, "b-list", body="[]")
    accept(bench, "c-incomplete", body="{}")
    accept(bench, "d-unknown", topic="planets/aligned")
    accept(bench, "e-good")
    bench.clock.advance(120)
    assert await bench.run("webhooks-retry-failed") == 1
    assert [state for state, _ in states(bench).values()] == ["failed"] * 4 + ["done"]
    assert await bench.run("webhooks-retry-failed") == 0
    assert states(bench)["a-broken"] == ("failed", webhooks_in.MOST_TRIES)


async def test_three_tries_within_a_day(bench: Bench) -> None:
    for event_id, attempts, days in (("tried", 3, 0.1), ("old", 1, 1.1), ("due", 2, 0.9)):
        accept(bench, event_id)
        bench.execute(
            "UPDATE inbound_events SET state = 'failed', attempts = ?, received_at = ? WHERE event_id = ?",
            attempts,
            bench.ago(days),
            event_id,
        )
    assert await bench.run("webhooks-retry-failed") == 1
    assert states(bench)["due"] == ("done", 3)
    assert await bench.run("webhooks-retry-failed-on-request", webhook_event_id="old", attempt=2) == 1
    assert states(bench)["old"] == ("done", 2)


async def test_a_run_takes_fifty(bench: Bench) -> None:
    for number in range(51):
        accept(bench, f"e{number}")
    bench.clock.advance(120)
    assert await bench.run("webhooks-retry-failed") == 50
    assert await bench.run("webhooks-retry-failed") == 1


async def test_old_events_are_deleted_with_their_bodies(bench: Bench) -> None:
    accept(bench, "old")
    bench.clock.advance(31 * 86_400)
    accept(bench, "new")
    assert await bench.run("webhooks-cleanup-old-events") == 1
    assert bench.rows("SELECT event_id FROM inbound_bodies") == [("new",)]
