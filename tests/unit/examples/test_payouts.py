"""Payouts: paid once whatever crashes when, by the right provider, out of a balance that covers them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.examples.shop import Shop, ShopContext

from cgk_jobs import NonRetryable
from cgk_jobs.events.catalogue.payouts import PayoutApproved, PayoutCompleted, PayoutFailed, PayoutInitiated
from cgk_jobs.examples.commerce.seed import BY_HAND, BY_STRIPE, BY_WISE, OPENING_BALANCE_CENTS
from cgk_jobs.examples.commerce.vendors import VendorUnavailable


def wish(creator: str = BY_STRIPE, payout_id: str = "p1", cents: int = 20_000) -> dict[str, Any]:
    return {
        "payout_id": payout_id,
        "creator_id": creator,
        "amount_cents": cents,
        "currency": "GBP",
        "payout_type": "domestic",
    }


async def both(shop: Shop, **fields: Any) -> tuple[str, str]:
    """What a request starts."""
    return (
        await shop.run("process-domestic-payout", ShopContext(run_id="d"), **fields),
        await shop.run("process-international-payout", ShopContext(run_id="i"), **fields),
    )


def owed(shop: Shop, creator: str = BY_STRIPE) -> int:
    return int(shop.value("SELECT sum(amount_cents) FROM creator_entries WHERE creator_id = ?", creator))


@pytest.fixture(autouse=True)
def planted(shop: Shop) -> None:
    shop.plant("ann")


@pytest.mark.parametrize(
    ("creator", "answers", "detail"),
    [
        (BY_STRIPE, ("sent", "left to stripe"), "GBP to USD stripe"),
        (BY_WISE, ("left to wise", "sent"), "GBP to EUR wise"),
    ],
)
async def test_the_creators_provider_pays(shop: Shop, creator: str, answers: tuple[str, str], detail: str) -> None:
    assert await both(shop, **wish(creator)) == answers
    (transfer,) = shop.done("transfer")
    assert (transfer.target, transfer.amount_cents, transfer.detail) == (creator, 20_000, detail)
    assert owed(shop, creator) == OPENING_BALANCE_CENTS - 20_000


async def test_a_creator_without_a_provider_is_left_to_a_person(shop: Shop) -> None:
    assert await both(shop, **wish(BY_HAND)) == ("manual_review", "left to manual")
    assert not shop.done("transfer")
    assert owed(shop, BY_HAND) == OPENING_BALANCE_CENTS


async def test_the_same_payout_in_many_runs_is_charged_once(shop: Shop) -> None:
    for number in range(5):
        await shop.run("process-domestic-payout", ShopContext(run_id=f"run-{number}"), **wish())
        await shop.run("process-payout", ShopContext(run_id=f"approved-{number}"), request_id="p1")
    assert (shop.vendors.charges, owed(shop)) == (1, OPENING_BALANCE_CENTS - 20_000)


async def test_a_lost_answer_does_not_pay_twice(shop: Shop) -> None:
    shop.vendors.down, shop.vendors.loses_answers = {"payments"}, True
    with pytest.raises(VendorUnavailable):
        await shop.run("process-domestic-payout", **wish())
    assert shop.vendors.charges == 1
    shop.vendors.down = set()
    assert await shop.run("process-domestic-payout", **wish()) == "sent"
    assert (shop.vendors.charges, shop.vendors.calls) == (1, 2)
    assert owed(shop) == OPENING_BALANCE_CENTS - 20_000


async def test_a_lost_answer_is_asked_for_at_the_same_provider(shop: Shop) -> None:
    shop.vendors.down, shop.vendors.loses_answers = {"payments"}, True
    with pytest.raises(VendorUnavailable):
        await shop.run("process-domestic-payout", **wish())
    shop.vendors.down = set()
    shop.execute(
        "UPDATE creators SET stripe_account = NULL, wise_recipient = 'wise_ada' WHERE creator_id = ?", BY_STRIPE
    )
    assert await both(shop, **wish()) == ("sent", "left to stripe")
    assert [transfer.detail for transfer in shop.done("transfer")] == ["GBP to USD stripe"]


async def test_a_crash_after_the_transfer_does_not_pay_twice(shop: Shop) -> None:
    class Crash(BaseException):
        pass

    class CrashingContext(ShopContext):
        async def step(self, name: str, function: Any, *args: Any, **kwargs: Any) -> Any:
            result = await super().step(name, function, *args, **kwargs)
            if name == "transfer":
                raise Crash  # the money moved, and the journal does not know
            return result

    with pytest.raises(Crash):
        await shop.run("process-domestic-payout", CrashingContext(), **wish())
    assert shop.value("SELECT state FROM payouts") == "approved"
    assert await shop.run("process-domestic-payout", **wish()) == "sent"
    assert (shop.vendors.charges, owed(shop)) == (1, OPENING_BALANCE_CENTS - 20_000)


async def test_the_initiation_is_announced_after_a_crash_before_the_announcement(shop: Shop) -> None:
    class UnheardContext(ShopContext):
        async def send(self, event: Any, *, key: str) -> None:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await shop.run("process-domestic-payout", UnheardContext(), **wish())
    assert await shop.run("process-domestic-payout", **wish()) == "sent"
    (initiated,) = shop.ctx.sent_of(PayoutInitiated)
    assert (initiated.provider, initiated.transfer_id) == ("stripe", shop.value("SELECT transfer_id FROM payouts"))


async def test_two_payouts_never_spend_the_same_balance(shop: Shop) -> None:
    first = await shop.run("process-domestic-payout", ShopContext(run_id="a"), **wish(cents=400_000))
    second = await shop.run("process-domestic-payout", ShopContext(run_id="b"), **wish(payout_id="p2", cents=400_000))
    assert (first, second) == ("sent", "manual_review")
    assert owed(shop) == OPENING_BALANCE_CENTS - 400_000


async def test_a_payout_of_nothing_is_refused_for_good(shop: Shop) -> None:
    with pytest.raises(NonRetryable, match="more than nothing"):
        await shop.run("process-domestic-payout", **wish(cents=0))


async def test_a_tenant_may_ask_for_approval(shop: Shop) -> None:
    shop.execute("INSERT INTO settings VALUES ('payout_approval', 'required')")
    assert await both(shop, **wish()) == ("requested", "left to stripe")
    assert not shop.done("transfer")
    assert await shop.run("process-payout", request_id="p1") == "sent"
    assert len(shop.done("transfer")) == 1


@pytest.mark.parametrize("state", ["pending", "paid", "failed"])
async def test_transfers_under_way_are_asked_about(shop: Shop, state: str) -> None:
    await shop.run("process-domestic-payout", **wish())
    shop.vendors.transfer_states["payout:p1"] = state  # type: ignore[assignment]
    for _ in range(2):  # an attempt again announces the same again
        await shop.tick_of("check-pending-domestic-payouts")
    completed, failed = shop.ctx.sent_of(PayoutCompleted), shop.ctx.sent_of(PayoutFailed)
    assert (len(completed), len(failed)) == (state == "paid", state == "failed")
    assert await shop.tick_of("check-pending-international-payouts") == 0


async def test_a_completed_payout_is_an_expense_once_and_told_once(shop: Shop) -> None:
    await shop.run("process-domestic-payout", **wish())
    for _ in range(2):
        assert (
            await shop.run("on-payout-complete", payout_id="p1", completed_at=shop.clock.now(), transaction_id="t")
            == "completed"
        )
        await shop.tick_of("daily-expense-sync", shop.clock.now() + timedelta(days=1))
        await shop.run("daily-expense-sync-on-request")
    assert shop.rows("SELECT reference, amount_cents FROM expenses") == [("payout:p1", 20_000)]
    assert [mail.detail for mail in shop.done("mail")] == ["payout-completed p1"]


async def test_a_failed_payout_gives_the_money_back_once_and_is_final(shop: Shop) -> None:
    await shop.run("process-domestic-payout", **wish())
    for _ in range(2):
        assert await shop.run("on-payout-failed", payout_id="p1", reason="closed account", retryable=False)
    assert owed(shop) == OPENING_BALANCE_CENTS
    assert await shop.run("process-payout", ShopContext(run_id="again"), request_id="p1") == "failed"
    assert await shop.run("on-payout-complete", payout_id="p1", completed_at=shop.clock.now()) == "failed"
    assert not shop.rows("SELECT * FROM expenses")
    assert [mail.detail for mail in shop.done("mail")] == ["payout-failed p1"]


async def test_a_completed_payout_can_not_fail_any_more(shop: Shop) -> None:
    await shop.run("process-domestic-payout", **wish())
    await shop.run("on-payout-complete", payout_id="p1", completed_at=shop.clock.now())
    assert await shop.run("on-payout-failed", payout_id="p1", reason="late news", retryable=False) is False
    assert owed(shop) == OPENING_BALANCE_CENTS - 20_000


async def test_a_refill_takes_up_what_could_not_be_paid(shop: Shop) -> None:
    shop.vendors.down = {"payments"}
    with pytest.raises(VendorUnavailable):
        await shop.run("process-domestic-payout", **wish())
    shop.vendors.down = set()
    for _ in range(2):
        await shop.run("on-topup-succeeded", topup_id="t1", amount_cents=5_000, currency="GBP")
    assert shop.value("SELECT balance_cents FROM accounts") == 1_005_000
    (resumed,) = shop.ctx.sent_of(PayoutApproved)
    assert await shop.run("process-payout", ShopContext(run_id="resumed"), request_id=resumed.request_id) == "sent"
    assert shop.vendors.charges == 1


async def test_the_months_profit_is_frozen_and_a_rerun_overwrites(shop: Shop) -> None:
    await shop.order("o1", 9_000, None)
    await shop.run("process-domestic-payout", **wish())
    await shop.run("on-payout-complete", payout_id="p1", completed_at=shop.clock.now())
    for _ in range(2):
        await shop.tick_of("monthly-pl-snapshot", shop.clock.now() + timedelta(days=29))
    assert shop.rows("SELECT * FROM profit_months") == [("2026-03-01", 9_000, 20_000)]
