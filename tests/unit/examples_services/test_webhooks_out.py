import pytest
from tests.unit.examples_services.bench import Bench

from cgk_jobs.examples.commerce.webhooks_out import AT_ONCE, OUTBOUND

URL = "https://shop.example/hook"


def plan(bench: Bench, delivery_id: str, endpoint: str = URL, **columns: object) -> None:
    bench.execute(
        "INSERT INTO deliveries (delivery_id, endpoint, body, due_at) VALUES (?, ?, '{}', ?)",
        delivery_id,
        endpoint,
        columns.get("due_at", bench.now),
    )


async def test_a_failing_subscriber_is_tried_on_schedule_and_then_given_up(bench: Bench) -> None:
    plan(bench, "d1")
    bench.vendors.down = {"webhook"}
    waits = []
    for _ in OUTBOUND.waits:
        assert await bench.run("webhook-process-queue") == {"waiting": 1}
        wait = (bench.value("SELECT due_at FROM deliveries") - bench.now) / 1e6
        waits.append(wait)
        bench.clock.advance(wait - 1)
        assert await bench.run("webhook-process-queue") == {}
        bench.clock.advance(1)
    assert waits == [60, 300, 1_800, 7_200, 86_400]
    assert await bench.run("webhook-process-queue") == {"dead": 1}
    bench.vendors.down = set()
    bench.clock.advance(1e6)
    assert await bench.run("webhook-process-queue") == {}
    assert bench.vendors.done("acme", "deliver") == []


async def test_a_lost_answer_delivers_once(bench: Bench) -> None:
    plan(bench, "d1")
    bench.vendors.down, bench.vendors.loses_answers = {"webhook"}, True
    await bench.run("webhook-process-queue")
    bench.vendors.down = set()
    bench.clock.advance(60)
    assert await bench.run("webhook-process-queue") == {"delivered": 1}
    assert len(bench.vendors.done("acme", "deliver")) == 1
    assert bench.value("SELECT attempts FROM deliveries") == 2


async def test_one_failing_subscriber_does_not_hold_up_the_others(bench: Bench) -> None:
    bench.vendors.fails_at = {"https://down.example"}
    for number in range(AT_ONCE + 2):
        plan(bench, f"bad-{number}", "https://down.example", due_at=bench.now - 5)
    plan(bench, "good")
    assert await bench.run("webhook-process-queue") == {"waiting": AT_ONCE + 2, "delivered": 1}


async def test_a_run_takes_a_hundred_the_longest_due_first(bench: Bench) -> None:
    for number in range(101):
        plan(bench, f"d{number:03}", due_at=bench.now - number)
    assert await bench.run("webhook-process-queue") == {"delivered": 100}
    assert bench.rows("SELECT delivery_id FROM deliveries WHERE state = 'pending'") == [("d000",)]


async def test_one_webhook_can_be_delivered_before_it_is_due_and_only_once(bench: Bench) -> None:
    plan(bench, "d1", due_at=bench.now + 10**9)
    assert await bench.run("webhook-process-single", delivery_id="d1") == "delivered"
    assert await bench.run("webhook-process-single", delivery_id="d1") == "settled"
    assert await bench.run("webhook-process-single", delivery_id="unknown") == "settled"
    assert bench.vendors.calls_seen == ["d1"]


@pytest.mark.parametrize(("task_id", "fields", "left"), [
    ("webhook-queue-cleanup", {}, ["dead", "recent"]),
    ("webhook-queue-cleanup-on-request", {"older_than_days": 1}, ["dead"]),
    ("webhook-queue-cleanup-on-request", {"older_than_days": 90}, ["dead", "old", "recent"]),
])  # fmt: skip
async def test_cleaning_up_keeps_what_is_recent_and_what_is_dead(
    bench: Bench, task_id: str, fields: dict[str, int], left: list[str]
) -> None:
    for name, days, state in (("old", 40, "delivered"), ("recent", 2, "delivered"), ("dead", 40, "dead")):
        plan(bench, name, due_at=bench.ago(days))
        bench.execute("UPDATE deliveries SET state = ? WHERE delivery_id = ?", state, name)
    await bench.run(task_id, **fields)
    assert [row[0] for row in bench.rows("SELECT delivery_id FROM deliveries ORDER BY 1")] == left


async def test_a_late_queue_raises_one_alert_an_hour(bench: Bench) -> None:
    plan(bench, "late", due_at=bench.ago(2 / 24))
    plan(bench, "later", due_at=bench.now + 10**9)
    for _ in range(3):
        assert await bench.run("webhook-queue-health-check") is False
    assert bench.rows("SELECT severity, message FROM alerts") == [
        ("error", "1 webhooks are overdue, the oldest for 120 minutes")
    ]
    assert len(bench.vendors.done("acme", "post")) == 1
    bench.clock.advance(3600)
    await bench.run("webhook-queue-health-check")
    assert len(bench.vendors.done("acme", "post")) == 2


async def test_document_callbacks_wait_twice_as_long_each_time(bench: Bench) -> None:
    bench.execute("INSERT INTO webhook_subscribers (endpoint, topic) VALUES (?, 'document.signed')", URL)
    bench.execute("INSERT INTO webhook_subscribers (endpoint, topic) VALUES (?, 'document.opened')", URL)
    bench.vendors.down = {"webhook"}
    assert await bench.run("esign-webhook-send", document_id="doc", change="signed") == {"waiting": 1}
    assert await bench.run("esign-webhook-send", document_id="doc", change="signed") == {}
    for wait in (120, 240, 480, 960):
        bench.clock.advance((bench.value("SELECT due_at FROM sign_callbacks") - bench.now) / 1e6)
        assert await bench.run("esign-webhook-retry") == {"waiting": 1}
        assert bench.value("SELECT due_at FROM sign_callbacks") == bench.now + wait * 1_000_000
    bench.vendors.down = set()
    bench.clock.advance(960)
    assert await bench.run("esign-webhook-retry") == {"delivered": 1}
    assert bench.value("SELECT count(*) FROM deliveries") == 0
    assert bench.value("SELECT body FROM sign_callbacks") == '{"change": "signed", "document_id": "doc"}'
