from datetime import UTC, datetime, timedelta

import pytest
from tests.unit.examples_services.bench import Asleep, Bench, RecordingContext


def templates(bench: Bench, state: str = "pending") -> list[str]:
    return [row[0] for row in bench.rows("SELECT template FROM mails WHERE state = ? ORDER BY 1", state)]


async def test_a_run_of_the_queue_sends_twenty_that_are_due(bench: Bench) -> None:
    bench.creator("c1")
    for number in range(21):
        await bench.run("queue-creator-email", message_id=f"m{number}", creator_id="c1", template="hello")
    later = bench.clock.now() + timedelta(hours=1)
    await bench.run("queue-creator-email", message_id="later", creator_id="c1", template="hello", send_at=later)
    assert await bench.run("process-creator-email-queue") == 20
    assert await bench.run("process-creator-email-queue") == 1
    assert await bench.run("process-creator-email-queue") == 0
    bench.clock.advance(3600)
    assert await bench.run("process-creator-email-queue") == 1
    assert len(bench.vendors.done("acme", "mail")) == 22


async def test_mails_that_failed_become_due_again_five_times(bench: Bench) -> None:
    bench.creator("c1")
    await bench.run("queue-creator-email", message_id="m", creator_id="c1", template="hello")
    bench.vendors.down = {"mail"}
    for _ in range(4):
        assert await bench.run("process-creator-email-queue") == 0
        assert await bench.run("retry-failed-creator-emails") == 1
    await bench.run("process-creator-email-queue")
    assert await bench.run("retry-failed-creator-emails") == 0
    assert bench.rows("SELECT state, attempts FROM mails") == [("failed", 5)]


async def test_a_series_can_be_cancelled_in_the_middle_and_its_record_stays(bench: Bench) -> None:
    bench.creator("c1")
    assert await bench.run("schedule-creator-welcome-sequence", creator_id="c1") == 4
    assert await bench.run("schedule-creator-welcome-sequence", creator_id="c1") == 0
    await bench.run("process-creator-email-queue")
    assert await bench.run("cancel-creator-pending-emails", creator_id="c1") == 3
    bench.clock.advance(20 * 86_400)
    assert await bench.run("process-creator-email-queue") == 0
    assert bench.rows("SELECT state, count(*) FROM mails GROUP BY state") == [("cancelled", 3), ("sent", 1)]


async def test_a_finished_setup_ends_the_nagging_and_not_the_welcome(bench: Bench) -> None:
    bench.creator("c1", approved_at=bench.ago(5), logged_in_at=bench.ago(4))
    await bench.run("schedule-creator-welcome-sequence", creator_id="c1")
    assert await bench.run("onboarding-automation") == 1
    assert await bench.run("send-onboarding-reminders") == 1
    assert await bench.run("on-creator-setup-complete", creator_id="c1") == 2
    assert templates(bench, "cancelled") == ["setup-nudge", "setup-step"]
    assert len(templates(bench)) == 4
    assert await bench.run("onboarding-automation") == 0
    assert await bench.run("check-creator-welcome-call-reminders") == 1


async def test_who_never_logged_in_is_reminded_every_three_days_for_two_weeks(bench: Bench) -> None:
    bench.creator("silent", approved_at=bench.now)
    bench.creator("here", approved_at=bench.now, logged_in_at=bench.now)
    days = []
    for day in range(1, 25):
        bench.clock.advance(86_400)
        if await bench.run("check-approval-reminders"):
            days.append(day)
        assert await bench.run("check-approval-reminders-on-request") == 0
    assert days == [3, 6, 9, 12, 15]
    assert {row[0] for row in bench.rows("SELECT reference FROM mails")} == {"silent"}


async def test_who_stalls_is_nudged_for_a_month_and_not_once_set_up(bench: Bench) -> None:
    bench.creator("stalled", approved_at=bench.now, logged_in_at=bench.now)
    bench.creator("ready", approved_at=bench.now, logged_in_at=bench.now, set_up=1)
    bench.creator("away", approved_at=bench.now)
    nudged, reminded = [], []
    for day in range(1, 36):
        bench.clock.advance(86_400)
        if await bench.run("onboarding-automation"):
            nudged.append(day)
        if await bench.run("send-onboarding-reminders"):
            reminded.append(day)
    assert nudged == [2, 6, 10, 14, 18, 22, 26, 30]
    assert reminded == [5, 12, 19, 26]
    assert {row[0] for row in bench.rows("SELECT reference FROM mails")} == {"stalled"}


async def test_the_introductory_call_is_offered_to_who_is_set_up_and_booked_none(bench: Bench) -> None:
    bench.creator("ready", approved_at=bench.now, set_up=1)
    bench.creator("booked", approved_at=bench.now, set_up=1, call_booked_at=bench.now)
    bench.creator("not-ready", approved_at=bench.now)
    days = []
    for day in range(1, 15):
        bench.clock.advance(86_400)
        if await bench.run("check-creator-welcome-call-reminders"):
            days.append(day)
        assert await bench.run("check-creator-welcome-call-reminders-on-request") == 0
    assert days == [1, 4, 7]
    assert {row[0] for row in bench.rows("SELECT reference FROM mails")} == {"ready"}


async def test_delivery_reminders_wait_five_days_and_skip_work_handed_in(bench: Bench) -> None:
    bench.creator("c1")
    for project, state in (("open", "in_progress"), ("done", "submitted")):
        bench.execute("INSERT INTO projects VALUES (?, 'c1', NULL, ?, 0, NULL)", project, state)
        bench.execute(
            "INSERT INTO parcels VALUES (?, 'product', 'c1', ?, 'T', 'delivered', 0, ?)", project, project, bench.now
        )
    bench.clock.advance(4.9 * 86_400)
    assert await bench.run("creator-product-delivery-reminders") == 0
    bench.clock.advance(0.2 * 86_400)
    assert await bench.run("creator-product-delivery-reminders") == 1
    assert await bench.run("creator-product-delivery-reminders") == 0
    assert bench.value("SELECT mail_id FROM mails") == "delivered:open"


async def test_deadline_warnings_come_three_days_and_one_day_before(bench: Bench) -> None:
    bench.clock.set(datetime(2026, 3, 1, 9, tzinfo=UTC))
    bench.creator("c1")
    bench.execute("INSERT INTO projects VALUES ('p1', 'c1', NULL, 'in_progress', 0, '2026-03-06')")
    bench.execute("INSERT INTO projects VALUES ('p2', 'c1', NULL, 'approved', 0, '2026-03-06')")
    warned = []
    for _ in range(8):
        if await bench.run("creator-deadline-reminders"):
            warned.append(bench.clock.now().day)
        assert await bench.run("creator-deadline-reminders") == 0
        bench.clock.advance(86_400)
    assert warned == [3, 5]
    assert templates(bench) == ["deadline-in-1", "deadline-in-3"]


async def test_who_is_silent_for_two_days_is_chased_once_for_each_message(bench: Bench) -> None:
    bench.creator("silent", written_to_at=bench.ago(2.1), answered_at=bench.ago(3))
    bench.creator("answered", written_to_at=bench.ago(2.1), answered_at=bench.ago(1))
    bench.creator("recent", written_to_at=bench.ago(1))
    assert await bench.run("creator-no-response-reminders") == 1
    assert await bench.run("creator-no-response-reminders") == 0
    assert bench.rows("SELECT reference FROM mails") == [("silent",)]


async def test_mails_about_projects_and_payouts_find_their_creator(bench: Bench) -> None:
    bench.creator("c1")
    bench.execute("INSERT INTO projects VALUES ('p1', 'c1', NULL, 'open', 0, NULL)")
    bench.execute(
        "INSERT INTO payouts (payout_id, creator_id, amount_cents, currency, requested_at) VALUES ('x', 'c1', 5, 'USD', 0)"
    )
    assert await bench.run("queue-project-email", project_id="p1", template="brief")
    assert not await bench.run("queue-project-email", project_id="p1", template="brief")
    assert not await bench.run("queue-project-email", project_id="unknown", template="brief")
    assert await bench.run("queue-payment-email", payout_id="x", template="payout-sent")
    assert templates(bench) == ["brief", "payout-sent"]


async def test_a_reminder_by_hand_leaves_at_once_and_once_a_run(bench: Bench) -> None:
    bench.creator("c1")
    fields = {"creator_id": "c1", "reminder_type": "deadline"}
    assert await bench.run("send-creator-reminder", **fields)
    assert not await bench.run("send-creator-reminder", **fields)
    assert await bench.run("send-creator-reminder", RecordingContext(run_id="run-2"), **fields)
    assert len(bench.vendors.done("acme", "mail")) == 2


async def test_a_milestone_is_announced_once_a_run(bench: Bench) -> None:
    fields = {
        "notification_type": "contract_signed",
        "creator_id": "c1",
        "creator_name": "Ada",
        "creator_email": "ada@example.com",
    }
    for _ in range(2):
        await bench.run("send-creator-slack-notification", **fields)
    assert [done.detail for done in bench.vendors.done("acme", "post")] == ["Ada: contract signed"]


def bulk(bench: Bench, recipients: int, kind: str = "creator") -> None:
    bench.execute("INSERT INTO bulk_sends VALUES ('b1', ?, 'news', 'draft', NULL)", kind)
    with bench.app.shops.current() as db:
        db.executemany(
            "INSERT INTO bulk_recipients VALUES ('b1', ?, NULL)", [(f"r{n:03}@x",) for n in range(recipients)]
        )


async def test_a_bulk_send_leaves_a_hundred_a_minute(bench: Bench) -> None:
    bulk(bench, 230)
    for sent in (100, 200):
        with pytest.raises(Asleep):
            await bench.run("process-creator-bulk-send", bulk_send_id="b1")
        assert len(bench.vendors.done("acme", "mail")) == sent
    assert await bench.run("process-creator-bulk-send", bulk_send_id="b1") == 230
    assert bench.ctx.slept == [60.0, 60.0]
    assert len(bench.vendors.calls_seen) == 230
    assert bench.value("SELECT state FROM bulk_sends") == "sent"


async def test_a_bulk_send_goes_on_behind_those_it_reached(bench: Bench) -> None:
    bulk(bench, 50)
    bench.vendors.fails_at, bench.vendors.loses_answers = {"r030@x"}, True
    with pytest.raises(Exception, match="is down"):
        await bench.run("process-creator-bulk-send", bulk_send_id="b1")
    bench.vendors.fails_at = set()
    await bench.run("process-creator-bulk-send", bulk_send_id="b1")
    assert len(bench.vendors.done("acme", "mail")) == 50
    assert len(bench.vendors.calls_seen) == 51
    assert bench.value("SELECT count(*) FROM bulk_recipients WHERE sent_at IS NULL") == 0


async def test_a_cancelled_bulk_send_stops_between_two_pieces(bench: Bench) -> None:
    bulk(bench, 150)
    with pytest.raises(Asleep):
        await bench.run("process-creator-bulk-send", bulk_send_id="b1")
    bench.execute("UPDATE bulk_sends SET state = 'cancelled'")
    await bench.run("process-creator-bulk-send", bulk_send_id="b1")
    assert len(bench.vendors.done("acme", "mail")) == 100
    assert bench.value("SELECT state FROM bulk_sends") == "cancelled"


async def test_tax_forms_are_asked_of_us_payees_over_the_threshold_once_a_week(bench: Bench) -> None:
    for creator, cents, year in (("over", 60_000, 2026), ("under", 59_999, 2026), ("before", 90_000, 2025)):
        bench.creator(creator)
        bench.execute(
            "INSERT INTO payouts (payout_id, creator_id, amount_cents, currency, state, requested_at)"
            " VALUES (?, ?, ?, 'USD', 'completed', ?)",
            creator,
            creator,
            cents,
            round(datetime(year, 2, 1, tzinfo=UTC).timestamp() * 1e6),
        )
    assert await bench.run("w9-compliance-reminders") == 1
    assert await bench.run("w9-compliance-reminders") == 0
    bench.clock.advance(7 * 86_400)
    assert await bench.run("w9-compliance-reminders") == 1
    bench.execute("UPDATE creator_progress SET tax_form_on = '2026-03-12' WHERE creator_id = 'over'")
    bench.clock.advance(7 * 86_400)
    assert await bench.run("w9-compliance-reminders") == 0
    assert {row[0] for row in bench.rows("SELECT reference FROM mails")} == {"over"}
