"""Text messages: never without consent, never at night, no more than the day's limit, each once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.examples.shop import Shop, ShopContext

from cgk_jobs.examples.commerce.application import Commerce
from cgk_jobs.examples.commerce.tasks import sms
from cgk_jobs.examples.commerce.vendors import VendorUnavailable

MANY = [f"+{number}" for number in range(10, 21)]
NIGHT = datetime(2026, 3, 4, 22, 30, tzinfo=UTC)
MORNING = datetime(2026, 3, 5, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def numbers(shop: Shop) -> None:
    shop.execute("INSERT INTO customers (customer_id, phone, sms_consent) VALUES ('ann', '+1', 1), ('bob', '+2', 0)")
    for number in range(10, 21):
        shop.execute("INSERT INTO customers (customer_id, phone, sms_consent) VALUES (?1, '+' || ?1, 1)", number)
    # As the queue paces itself in real time, and no test waits.
    unhurried: Commerce = replace(shop.app, seconds_between_texts=0)
    for task in sms.tasks(unhurried):
        shop.tasks[task.id] = task


def texts(shop: Shop) -> list[tuple[str, str]]:
    return [(text.target, text.detail) for text in shop.done("text")]


async def text(shop: Shop, to: str, run: str = "run-1", **fields: Any) -> Any:
    return await shop.run("send-sms", ShopContext(run_id=run), to=to, message="hello", **fields)


async def test_only_who_consents_is_texted_and_once_per_run(shop: Shop) -> None:
    assert [await text(shop, "+1"), await text(shop, "+1")] == ["sent", "gone"]
    assert await text(shop, "+2", "run-2") == "refused"
    assert await text(shop, "+3", "run-3") == "refused"
    assert texts(shop) == [("+1", "hello")]


@pytest.mark.parametrize(("template", "outcome"), [("one-time-code", "sent"), ("newsletter", "refused")])
async def test_a_transactional_text_needs_no_consent(shop: Shop, template: str, outcome: str) -> None:
    assert await text(shop, "+2", template_id=template) == outcome


@pytest.mark.parametrize(("template", "outcome"), [("one-time-code", "sent"), ("order-shipped", "held until morning")])
async def test_a_code_somebody_waits_for_leaves_at_any_hour(shop: Shop, template: str, outcome: str) -> None:
    shop.clock.set(NIGHT)
    assert await text(shop, "+2", template_id=template) == outcome


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
async def test_nobody_is_texted_at_night_in_the_tenants_zone(shop: Shop, zone: str) -> None:
    shop.execute("INSERT INTO settings VALUES ('timezone', ?)", zone)
    shop.clock.set(NIGHT)
    night_there = zone == "UTC"  # half past five in the afternoon in New York
    assert await text(shop, "+1") == ("held until morning" if night_there else "sent")
    assert await shop.run("process-sms-queue") == 0
    shop.clock.set(MORNING - timedelta(seconds=1))
    assert await shop.run("process-sms-queue") == 0
    shop.clock.set(MORNING)
    assert await shop.run("process-sms-queue") == night_there
    assert texts(shop) == [("+1", "hello")]


async def test_consent_withdrawn_while_the_text_waits_counts(shop: Shop) -> None:
    shop.clock.set(NIGHT)
    await text(shop, "+1")
    shop.execute("UPDATE customers SET sms_consent = 0")
    shop.clock.set(MORNING)
    await shop.run("process-sms-queue")
    assert not texts(shop)
    assert shop.value("SELECT state FROM texts") == "refused"


async def test_a_bulk_text_is_queued_once_and_leaves_ten_at_a_time(shop: Shop) -> None:
    recipients = ["+1", "+2", "+1", *MANY]
    for _ in range(2):
        assert await shop.run("send-bulk-sms", recipients=recipients, message="sale") == 13
    assert not texts(shop)
    sent = [await shop.run("process-sms-queue") for _ in range(3)]
    assert (sum(sent), sent[2]) == (12, 0)
    assert max(sent) <= 10
    assert sorted(number for number, _ in texts(shop)) == ["+1", *MANY]


async def test_the_days_limit_holds_and_opens_again_after_a_day(shop: Shop) -> None:
    shop.execute("INSERT INTO settings VALUES ('sms_daily_limit', '2')")
    await shop.run("send-bulk-sms", recipients=MANY[:3], message="sale")
    assert await shop.run("process-sms-queue") == 2
    assert await shop.run("process-sms-queue") == 0
    shop.clock.advance(timedelta(days=1))
    assert await shop.run("process-sms-queue") == 1


async def test_a_failed_text_rests_an_hour_and_is_tried_ten_times(shop: Shop) -> None:
    shop.vendors.down = {"sms"}
    with pytest.raises(VendorUnavailable):
        await text(shop, "+1")
    assert await shop.run("retry-dead-letter-sms") == 0
    requeued = 0
    for _ in range(15):
        shop.clock.set(shop.clock.now() + timedelta(days=1))
        requeued += await shop.run("retry-dead-letter-sms")
        await shop.run("process-sms-queue")
    assert (requeued, shop.rows("SELECT state, attempts FROM texts")) == (9, [("failed", 10)])


async def test_a_text_whose_answer_was_lost_leaves_once(shop: Shop) -> None:
    shop.vendors.down, shop.vendors.loses_answers = {"sms"}, True
    with pytest.raises(VendorUnavailable):
        await text(shop, "+1")
    shop.vendors.down = set()
    assert await text(shop, "+1") == "sent"
    assert len(texts(shop)) == 1
