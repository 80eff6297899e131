"""Draws that a person approves by mail, refills, and warnings."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.unit.examples.shop import TENANT, Shop

from cgk_jobs import NonRetryable
from cgk_jobs.events.catalogue.treasury import TreasuryLowBalance, TreasuryTopupSucceeded
from cgk_jobs.examples.commerce.treasury import read_answer
from cgk_jobs.examples.commerce.vendors import VendorUnavailable

TREASURER = f"treasurer@{TENANT}.example"


@pytest.fixture(autouse=True)
def planted(shop: Shop) -> None:
    shop.plant()


async def answer(shop: Shop, body: str, sender: str = TREASURER) -> str:
    result: str = await shop.run("treasury-process-inbound-email", message_id="m", sender=sender, body=body)
    return result


async def test_an_approved_draw_is_sent_once(shop: Shop) -> None:
    for _ in range(2):
        assert await shop.run("treasury-send-approval-email", request_id="draw-1")
    assert await shop.run("treasury-auto-send-approved") == 0
    assert await answer(shop, "Approved: draw-1") == "approved"
    assert await answer(shop, "reject draw-1") == "decided before"
    shop.vendors.down, shop.vendors.loses_answers = {"payments"}, True
    with pytest.raises(VendorUnavailable):
        await shop.run("treasury-auto-send-approved")
    shop.vendors.down = set()
    assert [await shop.run("treasury-auto-send-approved") for _ in range(2)] == [1, 0]
    assert (shop.vendors.charges, shop.value("SELECT state FROM draw_requests")) == (1, "sent")
    assert [mail.target for mail in shop.done("mail")] == [TREASURER]
    assert await shop.run("treasury-send-approval-email", request_id="draw-1") is False


async def test_only_the_treasurers_own_words_decide(shop: Shop) -> None:
    assert await answer(shop, "approve draw-1", "somebody@else.example") == "ignored"
    assert await answer(shop, "Which one?\n> approve draw-1") == "not understood"
    assert await answer(shop, "approve draw-99") == "unknown"
    assert shop.value("SELECT state FROM draw_requests") == "requested"
    shop.execute("DELETE FROM settings WHERE name = 'treasurer_email'")
    assert await answer(shop, "approve draw-1", "") == "ignored"


@pytest.mark.parametrize(
    ("subject", "body", "decision"),
    [
        ("Re: draw", "I approve draw-17, thanks", ("approved", "draw-17")),
        ("Approve draw-17", "Reject draw-17", ("rejected", "draw-17")),
        ("", "approve draw-1\nreject draw-2", None),
        ("", "I do not approve draw-17", None),
        ("", "Not approved: draw-17", None),
        ("", "Should we approve draw-17?", None),
        ("", "Approve draw-17?", None),
        ("Re: draw", "Rejected: draw-17", ("rejected", "draw-17")),
        ("APPROVE draw draw-17", "", ("approved", "draw-17")),
        ("Re: draw-17", "let me think", None),
    ],
)
def test_answers_are_understood(subject: str, body: str, decision: tuple[str, str] | None) -> None:
    assert read_answer(subject, body) == decision


@pytest.mark.parametrize("state", ["pending", "paid", "failed"])
async def test_refills_under_way_are_asked_about(shop: Shop, state: str) -> None:
    shop.execute("INSERT INTO topups (topup_id, account, amount_cents, currency) VALUES ('t1', 'payouts', 700, 'GBP')")
    shop.vendors.transfer_states["topup:t1"] = state  # type: ignore[assignment]
    assert await shop.run("treasury-sync-topup-statuses") == (state != "pending")
    announced = shop.ctx.sent_of(TreasuryTopupSucceeded)
    assert [event.amount_cents for event in announced] == ([700] if state == "paid" else [])
    assert shop.value("SELECT state FROM topups") == ("failed" if state == "failed" else "pending")


async def test_a_low_balance_is_warned_of_at_every_tick(shop: Shop) -> None:
    assert await shop.run("treasury-low-balance-alert") == 0
    shop.execute("UPDATE accounts SET balance_cents = threshold_cents - 1")
    for hours in (0, 0, 8):
        shop.clock.advance(timedelta(hours=hours))
        assert await shop.run("treasury-low-balance-alert") == 1
    assert len(shop.done("mail")) == 2
    assert {event.balance_cents for event in shop.ctx.sent_of(TreasuryLowBalance)} == {249_999}


async def test_a_draw_leaves_the_account_once_and_waits_for_what_is_not_there(shop: Shop) -> None:
    balance = "SELECT balance_cents FROM accounts"
    shop.execute("UPDATE accounts SET balance_cents = 99999")
    await answer(shop, "approve draw-1")
    assert await shop.run("treasury-auto-send-approved") == 0
    assert (shop.vendors.charges, shop.value(balance)) == (0, 99_999)
    await shop.run("on-topup-succeeded", topup_id="t1", amount_cents=1, currency="GBP")
    shop.vendors.down = {"payments"}
    for _ in range(2):
        with pytest.raises(VendorUnavailable):
            await shop.run("treasury-auto-send-approved")
    shop.vendors.down = set()
    assert await shop.run("treasury-auto-send-approved") == 1
    assert (shop.vendors.charges, shop.value(balance)) == (1, 0)


async def test_a_draw_the_bank_refuses_does_not_hold_up_the_others(shop: Shop) -> None:
    shop.execute("UPDATE draw_requests SET state = 'approved'")
    shop.execute("INSERT INTO draw_requests VALUES ('a', 1, 'GBP', 'approved', NULL, NULL)")
    await shop.vendors.transfer(TENANT, "draw:a", "somebody else", 1, "GBP", "bank")
    with pytest.raises(NonRetryable):
        await shop.run("treasury-auto-send-approved")
    assert shop.value("SELECT state FROM draw_requests WHERE request_id = 'draw-1'") == "sent"
