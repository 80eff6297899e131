"""Gift cards: granted and credited once, mailed once, their holders warned once."""

from datetime import date, timedelta

import pytest
from tests.unit.examples_services.bench import Bench

from cgk_jobs.examples.commerce.vendors import VendorUnavailable

TODAY = date(2026, 3, 4)
GRANT = "gift-card-process-order"
RETRY = "gift-card-retry-failed-credits"
PAID = {"order_id": "o1", "customer_id": "c1", "order_amount_cents": 9_999, "currency": "GBP"}


def customer(bench: Bench, customer_id: str = "c1", email: str | None = "c1@example.com") -> None:
    bench.execute("INSERT INTO customers (customer_id, email) VALUES (?, ?)", customer_id, email)


def card(bench: Bench, card_id: str, *, days: int = 100, balance_cents: int = 500, state: str = "granted") -> None:
    """A card that expires so many days from today."""
    bench.execute(
        "INSERT INTO gift_cards (card_id, email, balance_cents, currency, expires_on, state) VALUES (?, ?, ?, 'GBP', ?, ?)",
        card_id,
        f"{card_id}@example.com",
        balance_cents,
        (TODAY + timedelta(days=days)).isoformat(),
        state,
    )


def states(bench: Bench) -> dict[str, str]:
    return dict(bench.rows("SELECT card_id, state FROM gift_cards"))


async def test_a_paid_order_grants_a_twentieth_once_however_often_it_is_reported(bench: Bench) -> None:
    customer(bench)
    assert await bench.run(GRANT, **PAID) is True
    assert await bench.run(GRANT, **PAID) is False
    assert bench.rows(
        "SELECT card_id, order_id, email, balance_cents, currency, expires_on, state FROM gift_cards"
    ) == [("reward:o1", "o1", "c1@example.com", 499, "GBP", "2027-03-04", "credited")]
    (credit,) = bench.vendors.done("acme", "credit")
    assert (credit.target, credit.amount_cents, credit.detail) == ("c1@example.com", 499, "GBP")
    assert bench.vendors.calls == 1


async def test_a_tenant_sets_its_own_share(bench: Bench) -> None:
    customer(bench)
    bench.execute("INSERT INTO settings (name, value) VALUES ('reward_basis_points', '1000')")
    await bench.run(GRANT, **PAID)
    assert bench.value("SELECT balance_cents FROM gift_cards") == 999


@pytest.mark.parametrize(("email", "amount_cents"), [(None, 9_999), ("c1@example.com", 19)])
async def test_nobody_to_credit_and_nothing_to_credit_grant_no_card(
    bench: Bench, email: str | None, amount_cents: int
) -> None:
    customer(bench, email=email)
    assert await bench.run(GRANT, **PAID | {"order_amount_cents": amount_cents}) is False
    assert await bench.run(GRANT, **PAID | {"customer_id": "unknown"}) is False
    assert bench.rows("SELECT * FROM gift_cards") == []
    assert bench.vendors.calls == 0


@pytest.mark.parametrize("loses_answers", [False, True])
async def test_a_credit_that_failed_is_made_once_by_the_next_attempt(bench: Bench, loses_answers: bool) -> None:
    customer(bench)
    bench.vendors.down, bench.vendors.loses_answers = {"payments"}, loses_answers
    with pytest.raises(VendorUnavailable):
        await bench.run(GRANT, **PAID)
    assert states(bench) == {"reward:o1": "failed"}
    bench.vendors.down = set()
    # The share changes in between: the card was granted, so it keeps its worth.
    bench.execute("INSERT INTO settings (name, value) VALUES ('reward_basis_points', '1000')")
    assert await bench.run(GRANT, **PAID) is True
    assert states(bench) == {"reward:o1": "credited"}
    assert [done.amount_cents for done in bench.vendors.done("acme", "credit")] == [499]


async def test_failed_credits_are_made_on_request_and_others_left_alone(bench: Bench) -> None:
    for card_id, state in (("g1", "failed"), ("g2", "failed"), ("g3", "credited"), ("g4", "granted")):
        card(bench, card_id, state=state)
    assert await bench.run(RETRY, card_id="g2") == 1
    assert states(bench) == {"g1": "failed", "g2": "credited", "g3": "credited", "g4": "granted"}
    assert await bench.run(RETRY) == 1
    assert await bench.run(RETRY) == 0
    assert states(bench) == {"g1": "credited", "g2": "credited", "g3": "credited", "g4": "granted"}
    assert bench.vendors.charges == bench.vendors.calls == 2


async def test_a_credit_that_fails_again_does_not_keep_the_others_waiting(bench: Bench) -> None:
    for card_id in ("g1", "g2", "g3"):
        card(bench, card_id, state="failed")
    bench.vendors.fails_at = {"g1@example.com"}
    with pytest.raises(VendorUnavailable):
        await bench.run(RETRY)
    assert states(bench) == {"g1": "failed", "g2": "credited", "g3": "credited"}
    bench.vendors.fails_at = set()
    assert await bench.run(RETRY) == 1
    assert bench.vendors.charges == 3


async def test_a_card_is_mailed_once(bench: Bench) -> None:
    card(bench, "g1")
    for _ in range(2):
        assert await bench.run("gift-card-emails", card_id="g1") is True
    assert await bench.run("gift-card-emails", card_id="unknown") is False
    assert [done.target for done in bench.vendors.done("acme", "mail")] == ["g1@example.com"]


async def test_who_holds_a_card_that_expires_within_thirty_days_is_warned_once(bench: Bench) -> None:
    card(bench, "today", days=0)
    card(bench, "soon", days=30)
    card(bench, "later", days=31)
    card(bench, "expired", days=-1)
    card(bench, "empty", days=5, balance_cents=0)
    assert await bench.run("giftcard-expiry-notify") == 2
    assert await bench.run("giftcard-expiry-notify") == 0
    assert [done.target for done in bench.vendors.done("acme", "mail")] == ["soon@example.com", "today@example.com"]
    bench.clock.advance(timedelta(days=1))
    assert await bench.run("giftcard-expiry-notify") == 1


async def test_warnings_that_broke_off_go_on_where_they_were(bench: Bench) -> None:
    for card_id in ("g1", "g2", "g3"):
        card(bench, card_id, days=10)
    bench.vendors.fails_at = {"g2@example.com"}
    with pytest.raises(VendorUnavailable):
        await bench.run("giftcard-expiry-notify")
    bench.vendors.fails_at = set()
    assert await bench.run("giftcard-expiry-notify") == 2
    assert bench.vendors.calls_seen.count("gift-card-expiry:g1") == 1
    assert len(bench.vendors.done("acme", "mail")) == 3
