"""Draws: only a plain decision approves one, and one that the bank refuses gives its amount back."""

import pytest
from tests.unit.examples_services.bench import TENANT, Bench

from cgk_jobs import NonRetryable
from cgk_jobs.examples.commerce.treasury import PAYOUT_ACCOUNT, read_answer
from cgk_jobs.examples.commerce.vendors import VendorUnavailable

SEND = "treasury-auto-send-approved"


def account(bench: Bench, balance_cents: int) -> None:
    bench.execute("INSERT INTO accounts VALUES (?, ?, 0, 'GBP')", PAYOUT_ACCOUNT, balance_cents)


def approved(bench: Bench, request_id: str, amount_cents: int) -> None:
    bench.execute(
        "INSERT INTO draw_requests (request_id, amount_cents, currency, state) VALUES (?, ?, 'GBP', 'approved')",
        request_id,
        amount_cents,
    )


async def refuse(bench: Bench, request_id: str) -> None:
    """Let the bank know the draw's key as another transfer's, which it refuses for good."""
    await bench.vendors.transfer(TENANT, f"draw:{request_id}", "somebody else", 1, "GBP", "bank")


def draws(bench: Bench) -> dict[str, str]:
    return dict(bench.rows("SELECT request_id, state FROM draw_requests"))


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        ("", "Approve draw-17 next week, not now"),
        ("", "Approved: draw-17 if the balance allows"),
        ("", "Approve draw-17, but not before Friday. Thanks"),
        ("", "Approve draw-17 thanks to nobody"),
        ("", "Approve draw-17,"),
        ("", "Approve draw-17\nReject draw-17 if it is above 500"),
        ("", "Please do not approve the other one.\nApprove draw-17"),
        ("Approve draw-17", "Approve draw-17 next week, not now"),
        ("Approve draw-17", "next week, not now"),
        ("Approve draw-17 next week", ""),
    ],
)
def test_a_condition_decides_nothing(subject: str, body: str) -> None:
    assert read_answer(subject, body) is None


@pytest.mark.parametrize(
    "body",
    [
        "Approve draw-17",
        "approved: draw-17.",
        "I approve draw draw-17, thanks!",
        "Approve draw-17. Thank you.",
        "Hello,\n\nApprove draw-17 please\n\nAnn\n> approve draw-18",
        "Approve draw-17\nApprove draw-17",
    ],
)
def test_a_plain_decision_may_be_polite(body: str) -> None:
    assert read_answer("Re: a draw", body) == ("approved", "draw-17")


async def test_a_draw_the_bank_refuses_fails_and_gives_its_amount_back_once(bench: Bench) -> None:
    account(bench, 1000)
    approved(bench, "d1", 600)
    await refuse(bench, "d1")
    with pytest.raises(NonRetryable):
        await bench.run(SEND)
    assert draws(bench) == {"d1": "failed"}
    # What it gave back pays the next one, and it is not asked for again.
    approved(bench, "d2", 700)
    assert await bench.run(SEND) == 1
    assert draws(bench) == {"d1": "failed", "d2": "sent"}
    assert bench.value("SELECT balance_cents FROM accounts") == 300
    assert bench.vendors.calls_seen.count("draw:d1") == 2  # the other transfer, and the one that was refused


async def test_a_draw_whose_answer_was_lost_goes_to_whom_it_was_begun_for(bench: Bench) -> None:
    account(bench, 1000)
    approved(bench, "d1", 600)
    bench.vendors.down, bench.vendors.loses_answers = {"payments"}, True
    with pytest.raises(VendorUnavailable):
        await bench.run(SEND)
    bench.vendors.down = set()
    bench.execute("INSERT INTO settings (name, value) VALUES ('treasury_account', 'elsewhere')")
    assert await bench.run(SEND) == 1
    assert [(one.target, one.amount_cents) for one in bench.vendors.done(TENANT, "transfer")] == [(PAYOUT_ACCOUNT, 600)]
    assert (draws(bench), bench.value("SELECT balance_cents FROM accounts")) == ({"d1": "sent"}, 400)
