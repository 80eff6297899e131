from datetime import UTC, datetime

import pytest
from tests.unit.examples_services.bench import Bench

APPLICANT = {"creator_id": "c1", "application_id": "a1", "email": "ada@example.com"}


async def apply(bench: Bench) -> None:
    await bench.run("creator-on-applied", **APPLICANT)


def mails(bench: Bench, state: str = "pending") -> list[str]:
    rows = bench.rows("SELECT template FROM mails WHERE state = ? ORDER BY due_at, mail_id", state)
    return [row[0] for row in rows]


async def test_an_application_is_taken_in_once_however_often_it_arrives(bench: Bench) -> None:
    bench.vendors.down, bench.vendors.loses_answers = {"chat"}, True
    with pytest.raises(Exception, match="chat is down"):
        await apply(bench)
    bench.vendors.down = set()
    await apply(bench)
    assert await bench.run("creator-process-application", **APPLICANT) is False
    await bench.run("creator-notify-admin-new-application", **APPLICANT)
    assert bench.rows("SELECT name, state FROM creators") == [("ada", "applied")]
    assert bench.rows("SELECT stage FROM recruiting_pipeline") == [("applied",)]
    assert bench.rows("SELECT state FROM applications") == [("submitted",)]
    assert len(bench.vendors.done("acme", "post")) == 1


async def test_steps_and_pipeline_keep_their_first_moment(bench: Bench) -> None:
    assert await bench.run("creator-track-application-analytics", creator_id="c1", step="opened")
    bench.clock.advance(60)
    assert not await bench.run("creator-track-application-analytics", creator_id="c1", step="opened")
    assert await bench.run("creator-create-pipeline-entry", creator_id="c1")
    assert not await bench.run("creator-create-pipeline-entry", creator_id="c1")
    assert bench.value("SELECT reached_at FROM application_steps") == bench.now - 60_000_000


async def test_an_approval_plans_the_welcome_series_and_a_second_changes_nothing(bench: Bench) -> None:
    await apply(bench)
    start = bench.now
    assert await bench.run("creator-on-approved", creator_id="c1")
    bench.clock.advance(3600)
    assert not await bench.run("creator-process-approval", creator_id="c1")
    days = [
        (row[0] - start) / 86_400e6
        for row in bench.rows("SELECT due_at FROM mails WHERE mail_id LIKE 'welcome:%' ORDER BY due_at")
    ]
    assert days == [0, 2, 5, 10]
    assert bench.value("SELECT approved_at FROM creator_progress") == start
    assert await bench.run("creator-on-rejected", creator_id="c1") is False


async def test_a_refusal_withdraws_what_was_planned(bench: Bench) -> None:
    await apply(bench)
    await bench.run("queue-creator-email", message_id="m1", creator_id="c1", template="hello")
    assert await bench.run("creator-process-rejection", creator_id="c1", reason="no fit")
    assert mails(bench, "cancelled") == ["hello"]
    assert mails(bench) == ["application-rejected"]
    assert bench.value("SELECT stage FROM recruiting_pipeline") == "rejected"


async def test_a_notice_leaves_once(bench: Bench) -> None:
    await apply(bench)
    await bench.run("creator-on-approved", creator_id="c1")
    assert await bench.run("creator-send-approval-email", creator_id="c1")
    assert not await bench.run("creator-send-approval-email", creator_id="c1")
    assert not await bench.run("creator-send-rejection-email", creator_id="nobody")
    assert [done.detail for done in bench.vendors.done("acme", "mail")] == ["application-approved c1"]


def begin(bench: Bench, name: str, consent: int, idle_hours: float) -> None:
    bench.execute(
        "INSERT INTO applications (application_id, email, phone, sms_consent, touched_at) VALUES (?, ?, ?, ?, ?)",
        name,
        f"{name}@example.com",
        f"+1{name}",
        consent,
        bench.now - round(idle_hours * 3.6e9),
    )


async def test_unfinished_applications_are_texted_with_consent_and_mailed_after_a_day(bench: Bench) -> None:
    begin(bench, "yes", 1, 2)
    begin(bench, "no", 0, 2)
    begin(bench, "fresh", 1, 0.5)
    begin(bench, "day", 0, 25)
    begin(bench, "gone", 1, 24 * 8)
    assert await bench.run("creator-abandoned-application-reminders") == {"texts": 1, "mails": 1}
    assert await bench.run("creator-abandoned-application-reminders") == {"texts": 0, "mails": 0}
    assert [done.target for done in bench.vendors.done("acme", "text")] == ["+1yes"]
    assert bench.rows("SELECT recipient FROM mails") == [("day@example.com",)]


@pytest.mark.parametrize(("zone", "hour", "texts"), [
    ("UTC", 8, 0), ("UTC", 9, 1), ("UTC", 20, 1), ("UTC", 21, 0),
    ("America/New_York", 13, 0), ("America/New_York", 15, 1), ("Asia/Tokyo", 13, 0),
])  # fmt: skip
async def test_nobody_is_texted_in_the_quiet_hours_of_the_tenant(
    bench: Bench, zone: str, hour: int, texts: int
) -> None:
    bench.clock.set(datetime(2026, 3, 4, hour, tzinfo=UTC))
    bench.execute("INSERT INTO settings (name, value) VALUES ('timezone', ?)", zone)
    begin(bench, "yes", 1, 2)
    assert (await bench.run("creator-abandoned-application-reminders"))["texts"] == texts


async def test_handing_in_ends_the_reminders(bench: Bench) -> None:
    begin(bench, "a1", 1, 25)
    await bench.run("creator-abandoned-application-reminders")
    await apply(bench)
    assert mails(bench, "cancelled") == ["application-unfinished"]
    assert bench.value("SELECT state FROM applications") == "submitted"
