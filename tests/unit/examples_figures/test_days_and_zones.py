"""Which hour, day and week a figure belongs to, and when people are told of it, on whose clocks."""

from __future__ import annotations

import datetime as dt
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.examples.shop import Shop

from cgk_jobs.clock import to_micros
from cgk_jobs.examples.commerce.paying import credit
from cgk_jobs.examples.commerce.vendors import VendorUnavailable

MIDNIGHT = datetime(2026, 3, 9, tzinfo=UTC)
"""The beginning of a Monday."""
MICROSECOND = timedelta(microseconds=1)


def book(shop: Shop, order_id: str, cents: int, at: datetime, kind: str = "created") -> None:
    shop.execute(
        "INSERT INTO orders (order_id, kind, customer_id, amount_cents, currency, booked_at) VALUES (?, ?, ?, ?, ?, ?)",
        order_id,
        kind,
        f"customer-of-{order_id}",
        cents,
        "GBP",
        to_micros(at),
    )


async def daily(shop: Shop, at: datetime) -> Any:
    return await shop.tick_of("analytics-aggregate-daily-metrics", at)


async def test_the_last_microsecond_of_a_day_belongs_to_it_and_the_next_one_does_not(shop: Shop) -> None:
    book(shop, "late", 100, MIDNIGHT - MICROSECOND)
    book(shop, "early", 20, MIDNIGHT)
    assert await daily(shop, MIDNIGHT + timedelta(hours=2)) == 1
    assert shop.rows("SELECT day_on, orders, revenue_cents FROM metric_days") == [("2026-03-08", 1, 100)]
    await shop.tick_of("analytics-hourly-metrics-rollup", MIDNIGHT + timedelta(minutes=5), timedelta(hours=1))
    hour_before = to_micros(MIDNIGHT - timedelta(hours=1))
    assert shop.rows("SELECT * FROM metric_hours") == [(hour_before, 1, 100)]


async def test_a_rerun_takes_in_what_was_booked_meanwhile(shop: Shop) -> None:
    book(shop, "o1", 100, MIDNIGHT - timedelta(hours=3))
    await daily(shop, MIDNIGHT + timedelta(hours=2))
    book(shop, "o2", 20, MIDNIGHT - timedelta(hours=2))
    book(shop, "o1", -30, MIDNIGHT - timedelta(hours=1), "refunded")
    book(shop, "o2", -5, MIDNIGHT - timedelta(hours=1), "adjusted")
    await daily(shop, MIDNIGHT + timedelta(hours=2))
    figures = "SELECT orders, revenue_cents, refunds_cents, customers FROM metric_days"
    assert shop.rows(figures) == [(2, 85, 30, 2)]


async def test_the_hours_of_an_outage_are_made_up_for_as_far_as_two_days_back(shop: Shop) -> None:
    for hours in (1, 2, 30, 48, 49):
        book(shop, f"o{hours}", hours, MIDNIGHT - timedelta(hours=hours))
    tick = MIDNIGHT + timedelta(minutes=5)
    assert await shop.tick_of("analytics-hourly-metrics-rollup", tick, timedelta(hours=3)) == 2
    assert await shop.tick_of("analytics-hourly-metrics-rollup", tick, timedelta(days=9)) == 4
    assert await shop.tick_of("analytics-hourly-metrics-rollup", tick, None) == 1
    assert [row[0] for row in shop.rows("SELECT revenue_cents FROM metric_hours ORDER BY hour_at")] == [48, 30, 2, 1]


async def test_a_week_is_summed_beside_the_one_before(shop: Shop) -> None:
    for days, cents in ((15, 1), (14, 10), (8, 100), (7, 1_000), (1, 10_000), (0, 100_000)):
        book(shop, f"o{days}", cents, MIDNIGHT - timedelta(days=days))
    await shop.tick_of("analytics-aggregate-daily-metrics", MIDNIGHT + timedelta(hours=2), timedelta(days=20))
    for _ in range(2):
        assert await shop.tick_of("analytics-weekly-metrics-summary", MIDNIGHT + timedelta(hours=8))
    assert shop.rows("SELECT * FROM metric_weeks") == [("2026-03-02", 2, 11_000, 110)]


@pytest.mark.parametrize(
    ("metrics", "days", "channels"),
    [(["revenue"], 1, 0), (["customers"], 1, 0), (["attribution"], 0, 1), (["all"], 1, 1), (None, 1, 1)],
)
async def test_a_request_measures_what_it_names(shop: Shop, metrics: Any, days: int, channels: int) -> None:
    book(shop, "o1", 100, MIDNIGHT)
    shop.execute("INSERT INTO order_credits VALUES ('o1', 'last_touch', 'email', 10000)")
    await shop.run("analytics-aggregate-daily-metrics-on-request", date=MIDNIGHT.date(), metrics=metrics)
    counts = "SELECT (SELECT count(*) FROM metric_days), (SELECT count(*) FROM attribution_days)"
    assert shop.rows(counts) == [(days, channels)]


@pytest.mark.parametrize(
    ("zone", "hour", "posts_at"),
    [("UTC", None, 9), ("America/New_York", None, 13), ("America/New_York", "18", 22), ("Asia/Kolkata", None, 3)],
)
async def test_the_team_reads_the_report_at_its_own_hour(
    shop: Shop, zone: str, hour: str | None, posts_at: int
) -> None:
    shop.execute("INSERT INTO settings VALUES ('timezone', ?)", zone)
    if hour is not None:
        shop.execute("INSERT INTO settings VALUES ('slack_report_hour', ?)", hour)
    book(shop, "o1", 100, MIDNIGHT - timedelta(hours=1))
    posted = [
        utc_hour
        for utc_hour in range(24)
        if await shop.tick_of(
            "slack-performance-reports", MIDNIGHT + timedelta(hours=utc_hour, minutes=30), timedelta(hours=1)
        )
    ]
    assert posted == [posts_at]
    assert [post.key for post in shop.done("post")] == ["performance:2026-03-08"]


async def test_a_report_whose_hour_was_missed_is_posted_once_with_the_next_tick(shop: Shop) -> None:
    book(shop, "o1", 100, MIDNIGHT - timedelta(hours=1))
    posted = [
        await shop.tick_of("slack-performance-reports", MIDNIGHT + timedelta(hours=hour, minutes=30), since)
        for hour, since in ((8, timedelta(hours=1)), (12, timedelta(hours=4)), (13, timedelta(hours=1)))
    ]
    assert posted == [False, True, False]
    assert [post.key for post in shop.done("post")] == ["performance:2026-03-08"]


async def test_mondays_overview_holds_the_weekend_and_is_mailed_once_though_the_answer_was_lost(shop: Shop) -> None:
    shop.execute("INSERT INTO settings VALUES ('admin_email', 'boss@x')")
    for day in (5, 6, 8, 9):
        book(shop, f"o{day}", day * 100, datetime(2026, 3, day, 12, tzinfo=UTC))
    monday = datetime(2026, 3, 9, 12, tzinfo=UTC)  # eight in the morning in New York, where summer has begun
    friday = datetime(2026, 3, 6, 13, tzinfo=UTC)
    shop.vendors.down, shop.vendors.loses_answers = {"mail"}, True
    with pytest.raises(VendorUnavailable):
        await shop.tick_of("admin-daily-digest", monday, monday - friday)
    shop.vendors.down = set()
    assert await shop.tick_of("admin-daily-digest", monday, monday - friday)
    assert shop.rows("SELECT day_on, body FROM digests") == [
        ("2026-03-09", "2026-03-06: 1 orders, 6.00\n2026-03-08: 1 orders, 8.00")
    ]
    assert [mail.target for mail in shop.done("mail")] == ["boss@x"]


async def test_without_an_administrator_the_digest_is_kept_and_not_mailed(shop: Shop) -> None:
    book(shop, "o1", 100, MIDNIGHT - timedelta(hours=1))
    assert await shop.tick_of("admin-daily-digest", MIDNIGHT + timedelta(hours=12))
    assert shop.value("SELECT count(*) FROM digests") == 1
    assert not shop.vendors.calls_seen


async def test_projects_in_danger_are_mailed_at_each_of_the_days_two_occasions(shop: Shop) -> None:
    shop.execute("INSERT INTO settings VALUES ('admin_email', 'boss@x')")
    # Three days from the Monday the last one counts, a day later and what is finished do not.
    for project, state, due in (
        ("edge", "shipped", "2026-03-12"),
        ("beyond", "open", "2026-03-13"),
        ("done", "submitted", "2026-03-09"),
    ):
        shop.execute("INSERT INTO projects VALUES (?, 'c', NULL, ?, 0, ?)", project, state, due)
    for hour in (13, 13, 18):
        assert await shop.tick_of("at-risk-projects-alert", MIDNIGHT + timedelta(hours=hour)) == 1
    assert len(shop.done("mail")) == 2
    assert set(shop.rows("SELECT body FROM digests")) == {("edge: shipped, due 2026-03-12",)}


async def test_creators_get_a_recap_of_last_week_once_whoever_asks(shop: Shop) -> None:
    week = MIDNIGHT - timedelta(days=7)
    for creator, at in (
        ("ada", week),
        ("bo", MIDNIGHT - MICROSECOND),
        ("before", week - MICROSECOND),
        ("after", MIDNIGHT),
    ):
        shop.creator(creator)
        with shop.app.shops.current() as db:
            credit(db, f"commission:{creator}", creator, 500, "GBP", to_micros(at))
    with shop.app.shops.current() as db:
        credit(db, "payout-returned:p", "after", 500, "GBP", to_micros(week))
    shop.clock.set(MIDNIGHT + timedelta(hours=14))
    assert await shop.run("creator-weekly-digest-on-request", creator_id="bo") == 1
    assert await shop.run("creator-weekly-digest-on-request", creator_id="after") == 0
    for _ in range(2):
        assert await shop.tick_of("creator-weekly-digest") == 2
    assert [mail.target for mail in shop.done("mail")] == ["ada@example.com", "bo@example.com"]


@pytest.mark.parametrize(
    ("zone", "evening", "morning"),
    [
        # The clocks go forward on 29 March in London: the night is an hour shorter.
        ("Europe/London", datetime(2026, 3, 28, 22, tzinfo=UTC), datetime(2026, 3, 29, 8, tzinfo=UTC)),
        ("Europe/London", datetime(2026, 3, 28, 2, tzinfo=UTC), datetime(2026, 3, 28, 9, tzinfo=UTC)),
        ("Asia/Kolkata", datetime(2026, 3, 28, 15, 30, tzinfo=UTC), datetime(2026, 3, 29, 3, 30, tzinfo=UTC)),
    ],
)
async def test_a_text_of_the_night_is_due_at_nine_of_the_tenants_morning(
    shop: Shop, zone: str, evening: datetime, morning: datetime
) -> None:
    shop.execute("INSERT INTO settings VALUES ('timezone', ?)", zone)
    shop.execute("INSERT INTO customers (customer_id, phone, sms_consent) VALUES ('ann', '+1', 1)")
    shop.clock.set(evening)
    assert await shop.run("send-sms", to="+1", message="hello") == "held until morning"
    assert shop.value("SELECT due_at FROM texts") == to_micros(morning)
    assert not shop.vendors.calls_seen


async def test_a_report_is_of_yesterday_unless_it_names_a_day(shop: Shop) -> None:
    book(shop, "o1", 100, MIDNIGHT - timedelta(hours=1))
    book(shop, "o2", 700, MIDNIGHT - timedelta(days=2))
    shop.clock.set(MIDNIGHT)
    bodies = [
        await shop.run("scheduled-reports", report="revenue", recipient=recipient, **fields)
        for recipient in ("ann@x", "bob@x")
        for fields in ({}, {"day": dt.date(2026, 3, 7)})
    ]
    assert bodies == ["1 orders, revenue 1.00, refunds 0.00", "1 orders, revenue 7.00, refunds 0.00"] * 2
    assert len(shop.done("mail")) == 4
