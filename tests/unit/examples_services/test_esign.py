import pytest
from tests.unit.examples_services.bench import TENANT, Asleep, Bench

from cgk_jobs.events.catalogue.esign import EsignBulkSendStarted


def document(bench: Bench, document_id: str, *signers: str, expires_in_days: float = 60) -> None:
    bench.execute(
        "INSERT INTO sign_documents VALUES (?, ?, 'open', ?, ?)",
        document_id,
        f"Contract {document_id}",
        bench.now,
        bench.ago(-expires_in_days),
    )
    for email in signers:
        bench.execute("INSERT INTO signers (document_id, email) VALUES (?, ?)", document_id, email)


def reminded(bench: Bench) -> list[str]:
    return [done.target for done in bench.vendors.done(TENANT, "mail")]


async def test_signers_are_reminded_after_two_days_and_then_every_three(bench: Bench) -> None:
    document(bench, "d1", "ada@x", "bob@x")
    bench.execute("UPDATE signers SET signed_at = ? WHERE email = 'bob@x'", bench.now)
    days = []
    for half_days in range(24):
        if await bench.run("esign-reminders"):
            days.append(half_days / 2)
        assert await bench.run("esign-reminders") == 0
        bench.clock.advance(43_200)
    assert days == [2, 5, 8, 11]
    assert set(reminded(bench)) == {"ada@x"}


async def test_a_reminder_of_one_document_does_not_put_off_that_of_another(bench: Bench) -> None:
    document(bench, "d1", "ada@x")
    bench.clock.advance(86_400)
    document(bench, "d2", "bob@x")
    sent = []
    for _ in range(6):
        await bench.run("esign-reminders")
        sent.append(len(reminded(bench)))
        bench.clock.advance(86_400)
    assert sent == [0, 1, 2, 2, 3, 4]


async def test_a_reminder_the_vendor_refused_leaves_next_time(bench: Bench) -> None:
    document(bench, "d1", "ada@x")
    bench.clock.advance(3 * 86_400)
    bench.vendors.down = {"mail"}
    assert await bench.run("esign-reminders") == 0
    bench.vendors.down = set()
    bench.clock.advance(21_600)
    assert await bench.run("esign-reminders") == 1


async def test_an_expired_document_is_closed_and_its_reminders_withdrawn(bench: Bench) -> None:
    document(bench, "d1", "ada@x", expires_in_days=3)
    document(bench, "d2", "bob@x")
    bench.clock.advance(2.5 * 86_400)
    bench.vendors.down = {"mail"}
    await bench.run("esign-reminders")
    assert await bench.run("esign-expired-check") == 0
    bench.clock.advance(43_200)
    assert await bench.run("esign-expired-check") == 1
    assert await bench.run("esign-expired-check") == 0
    bench.vendors.down = set()
    assert await bench.run("esign-reminders") == 1
    assert reminded(bench) == ["bob@x"]
    assert bench.rows("SELECT document_id, state FROM sign_documents") == [("d1", "expired"), ("d2", "open")]


async def test_the_team_hears_which_documents_expire_within_the_week(bench: Bench) -> None:
    document(bench, "later", expires_in_days=8)
    document(bench, "soon", expires_in_days=6)
    document(bench, "sooner", expires_in_days=2)
    for _ in range(2):
        assert await bench.run("esign-expiry-check") == 2
    assert [done.detail for done in bench.vendors.done(TENANT, "post")] == ["Contract sooner\nContract soon"]


async def test_a_bulk_send_starts_when_its_time_has_come_and_leaves_ten_a_minute(bench: Bench) -> None:
    bench.execute("INSERT INTO bulk_sends VALUES ('b1', 'esign', 'nda', 'scheduled', ?)", bench.now + 60_000_000)
    bench.execute("INSERT INTO bulk_sends VALUES ('b2', 'creator', 'news', 'scheduled', ?)", bench.now)
    for number in range(12):
        bench.execute("INSERT INTO bulk_recipients VALUES ('b1', ?, NULL)", f"r{number:02}@x")
    assert await bench.run("esign-bulk-send-scheduled") == 0
    bench.clock.advance(60)
    for _ in range(2):
        await bench.run("esign-bulk-send-scheduled")
    assert bench.ctx.sent == [EsignBulkSendStarted(tenant_id=TENANT, bulk_send_id="b1")]
    with pytest.raises(Asleep):
        await bench.run("esign-bulk-send-process", bulk_send_id="b1")
    assert len(reminded(bench)) == 10
    assert await bench.run("esign-bulk-send-scheduled") == 0
    assert await bench.run("esign-bulk-send-process", bulk_send_id="b1") == 12
    assert len(bench.vendors.calls_seen) == 12
