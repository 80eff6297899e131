"""Gift cards: granted with paid orders, credited, mailed, and remembered before they expire."""

from __future__ import annotations

from datetime import timedelta
from sqlite3 import Connection
from typing import TYPE_CHECKING

from cgk_jobs import Context, Event, TaskGroup, Tick
from cgk_jobs.clock import from_micros
from cgk_jobs.events.catalogue.commerce import GiftCardRewardEarned
from cgk_jobs.examples.commerce.people import setting
from cgk_jobs.examples.commerce.policies import DEFAULT, STANDARD
from cgk_jobs.examples.commerce.simulation import simulated
from cgk_jobs.examples.commerce.vendor_failures import for_each
from cgk_jobs.examples.commerce.vendors import VendorUnavailable

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["OneCard", "grant_reward", "tasks"]

TAGS = ("gift-cards",)
REWARD_BASIS_POINTS = "500"
"""What a reward is of its order, where the tenant's setting ``reward_basis_points`` says nothing else: a twentieth."""
VALID_DAYS = 365
WARN_DAYS = 30

UNCREDITED = "SELECT card_id, email, balance_cents, currency FROM gift_cards WHERE state != 'credited'"


class OneCard(Event):
    """A gift card."""

    card_id: str


class FailedCredits(Event):
    """Try the store credits again that failed; only that of ``card_id`` where given."""

    card_id: str | None = None


def grant_reward(db: Connection, reward: GiftCardRewardEarned, now: int) -> str | None:
    """Grant the card of a paid order, once; its id, or ``None`` if it is worth nothing or has no address to go to."""
    basis_points = int(setting(db, "reward_basis_points", REWARD_BASIS_POINTS))
    amount_cents = reward.order_amount_cents * basis_points // 10_000
    row = db.execute("SELECT email FROM customers WHERE customer_id = ?", (reward.customer_id,)).fetchone()
    if amount_cents <= 0 or row is None or row[0] is None:
        return None
    card_id = f"reward:{reward.order_id}"
    expires = from_micros(now).date() + timedelta(days=VALID_DAYS)
    db.execute(
        "INSERT INTO gift_cards (card_id, order_id, email, balance_cents, currency, expires_on) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (card_id, reward.order_id, row[0], amount_cents, reward.currency, expires.isoformat()),
    )
    return card_id


async def credit_card(app: Commerce, tenant_id: str, card_id: str) -> bool:
    """Turn a granted card into store credit, once; false if it is credited or unknown.

    Raises ``VendorUnavailable``; the card is then failed and waits for ``gift-card-retry-failed-credits``.
    """
    with app.shops.current() as db:
        row = db.execute(f"{UNCREDITED} AND card_id = ?", (card_id,)).fetchone()
    if row is None:
        return False
    try:
        await app.payments.credit(tenant_id, f"gift-card:{card_id}", row[1], row[2], row[3])
    except VendorUnavailable:
        with app.shops.current() as db:
            db.execute("UPDATE gift_cards SET state = 'failed' WHERE card_id = ? AND state = 'granted'", (card_id,))
        raise
    with app.shops.current() as db:
        db.execute("UPDATE gift_cards SET state = 'credited' WHERE card_id = ?", (card_id,))
    return True


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    _granting(group, app)
    _mails(group, app)
    simulated(
        group.task(id="gift-card-sync-products", retry=DEFAULT, tags=("gift-cards", "simulated")),
        "Refresh the list of gift card products from the shop",
    )
    return group


def _granting(group: TaskGroup, app: Commerce) -> None:
    @group.task(on=GiftCardRewardEarned, id="gift-card-process-order", retry=DEFAULT, tags=TAGS)
    async def process_order(event: GiftCardRewardEarned) -> bool:
        """Grant the reward of a paid order and credit it to the customer; false if there is nothing to credit."""
        with app.shops.current() as db:
            card_id = grant_reward(db, event, app.now())
        return card_id is not None and await credit_card(app, event.tenant_id, card_id)

    @group.task(id="gift-card-retry-failed-credits", retry=DEFAULT, tags=TAGS)
    async def retry_failed_credits(wanted: FailedCredits) -> int:
        """Credit the cards that could not be credited before; says how many were."""
        with app.shops.current() as db:
            failed = db.execute(
                "SELECT card_id FROM gift_cards WHERE state = 'failed' AND (?1 IS NULL OR card_id = ?1) ORDER BY card_id",
                (wanted.card_id,),
            ).fetchall()
        return await for_each(failed, lambda row: credit_card(app, wanted.tenant_id, row[0]))


def _mails(group: TaskGroup, app: Commerce) -> None:
    @group.task(id="gift-card-emails", retry=STANDARD, tags=TAGS)
    async def gift_card_emails(card: OneCard) -> bool:
        """Mail a card to its recipient, once; false if there is no such card."""
        with app.shops.current() as db:
            row = db.execute("SELECT email FROM gift_cards WHERE card_id = ?", (card.card_id,)).fetchone()
        if row is None:
            return False
        await app.mailer.mail(card.tenant_id, f"gift-card:{card.card_id}", row[0], "gift-card", card.card_id)
        return True

    @group.cron("0 9 * * *", tenants="each", id="giftcard-expiry-notify", retry=STANDARD, tags=TAGS)
    async def expiry_notify(tick: Tick, ctx: Context) -> int:
        """Warn, once, whoever holds a card that expires within thirty days; says how many."""
        today = app.today()
        with app.shops.current() as db:
            expiring = db.execute(
                "SELECT card_id, email FROM gift_cards WHERE warned = 0 AND expires_on BETWEEN ? AND ?"
                " AND balance_cents > 0 ORDER BY card_id",
                (today.isoformat(), (today + timedelta(days=WARN_DAYS)).isoformat()),
            ).fetchall()
        for card_id, email in expiring:
            ctx.check_cancelled()
            await app.mailer.mail(ctx.tenant_id, f"gift-card-expiry:{card_id}", email, "gift-card-expiry", card_id)
            with app.shops.current() as db:
                db.execute("UPDATE gift_cards SET warned = 1 WHERE card_id = ?", (card_id,))
        return len(expiring)
