from datetime import UTC, datetime, timedelta

import pytest
from tests.unit.examples_services.bench import TENANT, Bench

from cgk_jobs.clock import to_micros
from cgk_jobs.events.catalogue.creators import ProjectStatusChanged
from cgk_jobs.examples.commerce.tasks import creators
from cgk_jobs.examples.commerce.vendors import VendorUnavailable
from cgk_jobs.examples.commerce.vendors_carriers import CarrierDouble


def project(bench: Bench, project_id: str, state: str = "open", **columns: str) -> None:
    bench.execute(
        "INSERT INTO projects VALUES (?, 'c1', ?, ?, ?, ?)",
        project_id,
        columns.get("order_id"),
        state,
        bench.now,
        columns.get("deadline_on"),
    )


def state(bench: Bench, project_id: str = "p1") -> str:
    return str(bench.value("SELECT state FROM projects WHERE project_id = ?", project_id))


async def test_a_project_follows_its_parcel_and_its_deadline(bench: Bench) -> None:
    carrier = CarrierDouble()
    tracking = {task.id: task for task in creators.tasks(bench.app, carrier)}["sync-creator-shipments"]
    project(bench, "p1", order_id="o1", deadline_on="2026-03-10")
    assert not await bench.run("project-linking", order_id="other", fulfillment_id="f0", tracking_number="T0")
    for _ in range(2):
        assert await bench.run("project-linking", order_id="o1", fulfillment_id="f1", tracking_number="T1")
    assert await bench.run("project-automation") == 1
    assert await bench.run("project-automation") == 0
    assert state(bench) == "shipped"

    assert await bench.attempt(tracking, bench.tick(tracking.id)) == 0
    carrier.states["T1"] = "delivered"
    assert await bench.attempt(tracking, bench.tick(tracking.id)) == 1
    assert await bench.attempt(tracking, bench.tick(tracking.id)) == 0
    assert bench.rows("SELECT state, delivered_at FROM parcels") == [("delivered", bench.now)]
    await bench.run("project-automation")
    assert state(bench) == "in_progress"

    bench.clock.set(datetime(2026, 3, 10, 23, tzinfo=UTC))
    assert await bench.run("project-automation") == 0
    bench.clock.set(datetime(2026, 3, 11, 0, tzinfo=UTC))
    assert await bench.run("project-automation") == 1
    assert [event.new_status for event in bench.ctx.sent if isinstance(event, ProjectStatusChanged)] == [
        "shipped",
        "in_progress",
        "overdue",
    ]


async def test_a_change_whose_run_broke_off_is_announced_once_and_made(bench: Bench) -> None:
    project(bench, "p1", "in_progress", deadline_on="2026-03-01")
    await bench.ctx.send(
        ProjectStatusChanged(tenant_id=TENANT, project_id="p1", old_status="in_progress", new_status="overdue"),
        key=f"project:p1:{bench.now}:overdue",
    )
    await bench.run("project-automation")
    assert len(bench.ctx.sent) == 1
    assert state(bench) == "overdue"


async def test_only_samples_are_asked_about_by_their_task_and_a_dead_carrier_changes_nothing(bench: Bench) -> None:
    carrier = CarrierDouble({"T-product": "delivered", "T-sample": "lost"})
    samples = {task.id: task for task in creators.tasks(bench.app, carrier)}["check-sample-deliveries"]
    for kind in ("product", "sample"):
        bench.execute(
            "INSERT INTO parcels (parcel_id, kind, creator_id, tracking_number, shipped_at) VALUES (?, ?, 'c1', ?, 0)",
            kind,
            kind,
            f"T-{kind}",
        )
    bench.execute(
        "INSERT INTO parcels (parcel_id, kind, creator_id, shipped_at) VALUES ('unnumbered', 'sample', 'c1', 0)"
    )
    carrier.down = True
    with pytest.raises(VendorUnavailable):
        await bench.attempt(samples, bench.tick(samples.id))
    carrier.down = False
    assert await bench.attempt(samples, bench.tick(samples.id)) == 1
    assert carrier.asked == ["T-sample", "T-sample"]
    assert bench.rows("SELECT parcel_id, state FROM parcels ORDER BY 1") == [
        ("product", "shipped"),
        ("sample", "lost"),
        ("unnumbered", "shipped"),
    ]


async def test_what_lies_is_escalated_once(bench: Bench) -> None:
    project(bench, "p1", "overdue")
    bench.execute(
        "INSERT INTO payouts (payout_id, creator_id, amount_cents, currency, state, requested_at)"
        " VALUES ('x', 'c1', 5, 'USD', 'failed', 0)"
    )
    assert await bench.run("escalations") == 1
    bench.clock.advance(2.1 * 86_400)
    assert await bench.run("escalations") == 1
    assert await bench.run("escalations") == 0
    assert sorted(done.key for done in bench.vendors.done(TENANT, "post")) == ["overdue:p1", "payout-failed:x"]


def commission(bench: Bench, order_id: str, creator_id: str, cents: int, days_ago: float) -> None:
    bench.execute(
        "INSERT INTO commissions (order_id, creator_id, amount_cents, currency, earned_at) VALUES (?, ?, ?, 'USD', ?)",
        order_id,
        creator_id,
        cents,
        bench.ago(days_ago),
    )


async def test_a_day_counted_again_is_overwritten(bench: Bench) -> None:
    commission(bench, "o1", "c1", 100, 1)
    commission(bench, "o2", "c1", 50, 1)
    commission(bench, "o3", "c2", 70, 1)
    commission(bench, "today", "c1", 999, 0)
    for _ in range(2):
        assert await bench.run("creator-aggregate-daily-metrics") == 2
    bench.execute("UPDATE commissions SET state = 'reversed' WHERE order_id IN ('o2', 'o3')")
    await bench.run("creator-aggregate-daily-metrics")
    assert bench.rows("SELECT day_on, creator_id, orders, earned_cents FROM creator_days") == [
        ("2026-03-03", "c1", 1, 100)
    ]


async def test_mails_count_for_the_day_they_left(bench: Bench) -> None:
    bench.creator("c1")
    await bench.run("queue-creator-email", message_id="m1", creator_id="c1", template="hello")
    await bench.run("queue-creator-email", message_id="m2", creator_id="c1", template="hello")
    midnight = bench.clock.now().replace(hour=0)
    for mail, moment in (("message:m1", midnight - timedelta(days=1)), ("message:m2", midnight)):
        bench.execute("UPDATE mails SET state = 'sent', sent_at = ? WHERE mail_id = ?", to_micros(moment), mail)
    await bench.run("queue-creator-email", message_id="m3", creator_id="c1", template="hello")
    bench.execute("UPDATE mails SET sent_at = ? WHERE mail_id = 'message:m3'", bench.ago(1))
    assert await bench.run("creator-aggregate-daily-metrics") == 1
    assert bench.rows("SELECT orders, earned_cents, mails FROM creator_days") == [(0, 0, 1)]


async def test_a_shop_without_creators_reports_nothing(bench: Bench) -> None:
    assert not await bench.run("creator-generate-weekly-summary")
    assert not await bench.run("creator-generate-monthly-report")


async def test_the_week_names_who_stopped_earning_and_the_month_who_left(bench: Bench) -> None:
    bench.clock.set(datetime(2026, 3, 1, 6, tzinfo=UTC))
    bench.creator("c1")
    bench.creator("c2", "applied")
    days = (
        ("2026-02-15", "c2", 5),
        ("2026-02-22", "c1", 7),
        ("2026-02-23", "c4", 0),
        ("2026-01-01", "c3", 9),
        ("2026-03-01", "c5", 1),
        ("2025-12-31", "c6", 1),
        ("2026-02-14", "c7", 1),
    )
    for day, creator, cents in days:
        bench.execute("INSERT INTO creator_days VALUES (?, ?, 1, ?, 0)", day, creator, cents)
    commission(bench, "o1", "c1", 700, 28.25)  # the first moment of the month
    commission(bench, "o2", "c1", 5, 28.26)
    commission(bench, "o3", "c1", 5, 0.25)
    for _ in range(2):
        assert await bench.run("creator-generate-weekly-summary")
        assert await bench.run("creator-generate-monthly-report")
    assert bench.rows("SELECT kind, day_on, body FROM digests ORDER BY kind") == [
        (
            "creators-month",
            "2026-02-01",
            '{"churned": ["c3"], "earned_cents": {"USD": 700}, "funnel": {"applied": 1, "approved": 1}}',
        ),
        ("creators-week", "2026-02-22", '{"at_risk": ["c2"], "earning": 1}'),
    ]
