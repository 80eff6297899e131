"""Attribution, experiments, analytics, digests, scores: right, and the same after a rerun."""

from __future__ import annotations

import datetime as dt
import json
from datetime import UTC, datetime, timedelta

import pytest
from tests.unit.examples.shop import Shop

from cgk_jobs.events.catalogue.attribution import ConversionAttributed
from cgk_jobs.examples.commerce import channels, figures
from cgk_jobs.examples.commerce.days import closed_days
from cgk_jobs.examples.commerce.seed import EXPERIMENT


def touch(shop: Shop, channel: str, days_ago: float, customer: str = "ann") -> None:
    moment = shop.ago(days_ago)
    shop.execute("INSERT INTO touchpoints VALUES (?, ?, ?, ?)", f"{channel}-{moment}", customer, channel, moment)


def credits_of(shop: Shop, order_id: str = "o1") -> list[str]:
    rows = shop.rows("SELECT channel FROM order_credits WHERE order_id = ? AND model = 'last_touch'", order_id)
    return [row[0] for row in rows]


async def test_an_order_is_credited_to_the_channel_touched_last(shop: Shop) -> None:
    touch(shop, "search", 3)
    touch(shop, "email", 1)
    for _ in range(2):
        await shop.order("o1", 100)
    assert credits_of(shop) == ["email"]


async def test_an_order_without_a_touchpoint_is_looked_at_again_and_is_direct_in_the_end(shop: Shop) -> None:
    await shop.order("o1", 100)
    await shop.order("guest", 100, None)
    assert [await shop.run("attribution-process-unattributed") for _ in range(4)] == [0, 0, 2, 0]
    assert (credits_of(shop), credits_of(shop, "guest")) == (["direct"], ["direct"])
    assert await shop.run("attribution-order-reconciliation") == 0


async def test_a_touchpoint_that_arrives_late_is_found(shop: Shop) -> None:
    await shop.order("o1", 100)
    touch(shop, "social", 1)
    assert await shop.run("attribution-process-unattributed") == 1
    assert credits_of(shop) == ["social"]
    touch(shop, "email", 0.5)
    shop.clock.advance(timedelta(hours=1))
    assert [await shop.tick_of("attribution-recalculate-recent") for _ in range(2)] == [1, 0]
    assert credits_of(shop) == ["email"]
    touch(shop, "search", 0.1)
    assert await shop.run("attribution-recalculate-recent-on-request", order_id="o1") == 1
    touch(shop, "radio", 0.05)
    assert await shop.run("attribution-order-reconciliation-manual", order_ids=["o1"]) == 1
    assert credits_of(shop) == ["radio"]


async def test_orders_nobody_looked_at_are_queued(shop: Shop) -> None:
    await shop.run("commerce-handle-order-created", order_id="o1", total_amount_cents=100)
    shop.clock.advance(timedelta(hours=1))
    assert [await shop.tick_of("attribution-order-reconciliation") for _ in range(2)] == [1, 0]
    assert shop.rows("SELECT order_id, tries FROM unattributed") == [("o1", 0)]


async def test_a_conversion_is_scored_under_five_models_and_published_once_each(shop: Shop) -> None:
    for channel, days in (("search", 9), ("email", 4), ("social", 2), ("email", 1)):
        touch(shop, channel, days)
    for _ in range(2):
        await shop.run(
            "analytics-process-attribution", order_id="o1", customer_id="ann", total_amount_cents=100, currency="GBP"
        )
    scores = dict(shop.rows("SELECT model, json_group_object(channel, basis_points) FROM order_credits GROUP BY model"))
    assert {model: sum(json.loads(text).values()) for model, text in scores.items()} == dict.fromkeys(
        channels.MODELS, 10_000
    )
    assert json.loads(scores["linear"]) == {"search": 2_500, "email": 5_000, "social": 2_500}
    assert json.loads(scores["position_based"]) == {"search": 4_000, "email": 5_000, "social": 1_000}
    assert json.loads(scores["first_touch"]) == {"search": 10_000}
    assert {event.attribution_model for event in shop.ctx.sent_of(ConversionAttributed)} == set(channels.MODELS)
    assert len(shop.ctx.sent) == 5


def test_shares_always_add_up() -> None:
    assert channels.shares_of([1, 1, 1]) == [3_333, 3_333, 3_334]


async def test_channel_figures_and_their_export(shop: Shop) -> None:
    touch(shop, "email", 1)
    await shop.order("o1", 1_000)
    await shop.order("o2", 500)
    tomorrow = shop.clock.now() + timedelta(days=1)
    for _ in range(2):
        await shop.tick_of("attribution-daily-metrics", tomorrow)
    assert shop.rows("SELECT * FROM attribution_days") == [("2026-03-04", "email", 2, 1_500)]
    assert [
        await shop.run("attribution-export-scheduler-on-request", export_id="e1", format="csv") for _ in range(2)
    ] == [1, 0]
    assert shop.value("SELECT body FROM exports") == (
        "day_on,channel,orders,revenue_cents\r\n2026-03-04,email,2,1500\r\n"
    )
    shop.execute("INSERT INTO exports (export_id, format, asked_at) VALUES ('e2', 'json', 0)")
    assert [await shop.run("attribution-export-scheduler") for _ in range(2)] == [1, 0]
    assert json.loads(shop.value("SELECT body FROM exports WHERE export_id = 'e2'"))[0]["revenue_cents"] == 1_500


async def test_experiments_count_what_was_ordered_and_leave_out_what_was_cancelled(shop: Shop) -> None:
    shop.plant("ann")
    for number in range(8):
        await shop.order(f"o{number}", 100 + number, f"customer-{number}")
    shop.clock.advance(timedelta(hours=2))
    for _ in range(2):
        await shop.tick_of("ab-hourly-metrics-aggregation")
    count = "SELECT sum(orders), sum(revenue_cents) FROM ab_metrics"
    assert shop.rows(count) == [(8, 828)]
    await shop.run("order-ab-test-exclusion", order_id="o7")
    await shop.tick_of("ab-nightly-metrics-reconciliation", shop.clock.now() + timedelta(days=1))
    assert shop.rows(count) == [(7, 721)]
    await shop.run("ab-aggregate-test-metrics", period="full")
    assert shop.rows(count) == [(7, 721)]


async def test_a_customer_stays_in_one_variant(shop: Shop) -> None:
    shop.plant()
    for number in range(5):
        await shop.order(f"o{number}", 100, "ann")
    assert shop.value("SELECT count(DISTINCT variant) FROM ab_orders") == 1


async def test_missed_orders_are_attached_once(shop: Shop) -> None:
    await shop.order("o1", 100)
    shop.plant()
    assert [await shop.run("ab-order-reconciliation") for _ in range(2)] == [1, 0]
    shop.execute("DELETE FROM ab_orders")
    assert await shop.run("ab-order-reconciliation-manual", order_id="o2") == 0
    assert await shop.run("ab-order-reconciliation-manual", order_id="o1") == 1


async def test_experiments_start_shift_and_end(shop: Shop) -> None:
    await shop.run("ab-handle-test-created", test_id="t", name="T", variants=2)
    shop.execute("UPDATE ab_tests SET starts_at = ?, ends_at = ?", shop.now, shop.now + 1)
    assert await shop.run("ab-test-scheduler") == 1
    shop.execute("INSERT INTO ab_metrics VALUES ('t', 'A', '2026-03-03', 3, 900), ('t', 'B', '2026-03-03', 1, 100)")
    assert await shop.run("ab-optimization") == 1
    assert shop.rows("SELECT variant, weight FROM ab_variants ORDER BY variant") == [("A", 82), ("B", 18)]
    before = shop.changes()
    await shop.run("ab-optimization")
    assert shop.changes() == before
    await shop.run("ab-daily-metrics-summary")
    await shop.run("ab-optimization-summary")
    assert [post.detail for post in shop.done("post")] == ["T: A 3, B 1", "t A: 82\nt B: 18"]
    shop.clock.advance(1)
    assert await shop.run("ab-test-scheduler") == 1
    await shop.run("ab-handle-test-ended", test_id="t", winning_variant="A")
    assert shop.rows("SELECT state, winner FROM ab_tests") == [("ended", "A")]


async def test_hours_days_and_weeks_add_up_and_a_rerun_overwrites(shop: Shop) -> None:
    await shop.order("o1", 1_000)
    shop.clock.advance(timedelta(hours=1))
    await shop.order("o2", 500, "bob")
    await shop.run("commission-reversal", order_id="o2")
    shop.clock.set(datetime(2026, 3, 9, 8, 5, tzinfo=UTC))
    for _ in range(2):
        assert await shop.tick_of("analytics-hourly-metrics-rollup", datetime(2026, 3, 4, 14, 5, tzinfo=UTC)) == 2
        assert await shop.tick_of("analytics-aggregate-daily-metrics", None, timedelta(days=6)) == 1
        assert await shop.tick_of("analytics-weekly-metrics-summary") is True
    assert [row[1:] for row in shop.rows("SELECT * FROM metric_hours")] == [(1, 1_000), (1, 0)]
    assert shop.rows("SELECT * FROM metric_days") == [("2026-03-04", 2, 1_000, 500, 2)]
    assert shop.rows("SELECT * FROM metric_weeks") == [("2026-03-02", 2, 1_000, 0)]
    assert await shop.run("analytics-aggregate-daily-metrics-on-request", date=dt.date(2026, 3, 4), metrics=["all"])
    assert await shop.run("analytics-aggregate-daily-metrics-on-request") is False


async def test_a_day_after_an_outage_makes_up_for_all_missed_days(shop: Shop) -> None:
    tick = shop.tick("analytics-aggregate-daily-metrics", timedelta(days=3))
    assert closed_days(tick) == [dt.date(2026, 3, day) for day in (1, 2, 3)]
    assert closed_days(shop.tick("x", None)) == [dt.date(2026, 3, 3)]
    assert len(closed_days(shop.tick("x", timedelta(days=400)))) == 31


async def test_reports_are_kept_mailed_and_posted_once(shop: Shop) -> None:
    await shop.order("o1", 123_456)
    shop.clock.set(datetime(2026, 3, 5, 9, 30, tzinfo=UTC))
    for _ in range(2):
        body = await shop.run("scheduled-reports", report="revenue", recipient="boss@x")
        assert body == "1 orders, revenue 1,234.56, refunds 0.00"
    await shop.run("scheduled-reports", report="channels", recipient="boss@x")
    for hours, posts in ((-1, False), (2, True), (3, False)):  # the tick of nine o'clock was missed
        assert await shop.tick_of("slack-performance-reports", shop.clock.now() + timedelta(hours=hours)) is posts
    assert [post.detail for post in shop.done("post")] == ["1 orders, revenue 1,234.56, refunds 0.00"]
    assert [mail.detail for mail in shop.done("mail")] == ["report-channels 2026-03-04", "report-revenue 2026-03-04"]


async def test_digests_say_what_happened_and_what_waits(shop: Shop) -> None:
    assert await shop.run("admin-daily-digest") is False
    shop.plant()
    await shop.order("o1", 1_000)
    shop.execute("UPDATE checkouts SET state = 'completed'")
    shop.execute(
        "INSERT INTO payouts (payout_id, creator_id, amount_cents, currency, requested_at) VALUES ('p', 'c', 1, 'GBP', 0)"
    )
    shop.execute("INSERT INTO projects VALUES ('late', 'c', NULL, 'overdue', 0, '2026-03-01')")
    shop.execute("INSERT INTO projects VALUES ('soon', 'c', NULL, 'open', 0, '2026-03-07')")
    shop.execute("INSERT INTO projects VALUES ('far', 'c', NULL, 'open', 0, '2026-05-07')")
    for _ in range(2):
        assert await shop.tick_of("admin-daily-digest", shop.clock.now() + timedelta(days=1)) is True
        assert await shop.tick_of("at-risk-projects-alert") == 2
    assert [row[0] for row in shop.rows("SELECT body FROM digests ORDER BY kind")] == [
        "2026-03-04: 1 orders, 10.00\n1 payouts wait for a person",
        "late: overdue, due 2026-03-01\nsoon: open, due 2026-03-07",
    ]
    assert len(shop.done("mail")) == 2


async def test_scores_rank_customers_and_are_made_anew_only_after_orders(shop: Shop) -> None:
    for number in range(10):
        shop.clock.advance(60)
        await shop.order(f"o{number}", 100 * (10 - number), f"customer-{number}")
    assert [await shop.run("calculate-rfm") for _ in range(2)] == [10, 0]
    best, worst = (
        shop.rows("SELECT recency, monetary FROM customer_scores WHERE customer_id = ?", f"customer-{number}")
        for number in (9, 0)
    )
    assert (best, worst) == ([(5, 1)], [(1, 5)])
    await shop.order("o10", 5_000, "customer-9")
    assert await shop.run("calculate-rfm") == 10
    assert shop.rows("SELECT frequency, monetary FROM customer_scores WHERE customer_id = 'customer-9'") == [(5, 5)]


@pytest.mark.parametrize(("cents", "text"), [(0, "0.00"), (-5, "-0.05"), (123_456_789, "1,234,567.89")])
def test_money_is_written_as_people_read_it(cents: int, text: str) -> None:
    assert figures.money(cents) == text


async def test_a_schedule_that_finds_nothing_to_do_writes_nothing_and_calls_nobody(shop: Shop) -> None:
    for task in shop.tasks.values():
        if task.schedule is None or task.schedule.tenants != "each" or task.id == "google-feed-scheduled-sync":
            continue
        before = shop.changes()
        await shop.attempt(task, shop.tick(task.id))
        assert shop.changes() == before, task.id
    assert not shop.vendors.calls_seen
    assert not shop.sends.payloads


async def test_planting_twice_changes_nothing(shop: Shop) -> None:
    shop.plant("ann", "bob")
    before = shop.changes()
    shop.plant("ann", "bob")
    assert shop.changes() == before
    assert shop.rows("SELECT test_id FROM ab_tests") == [(EXPERIMENT,)]
