"""Money to creators. A payout is paid once, whatever crashes when.

Three things see to it, and each alone would do: the vendor knows the payout's key, the transfer's id is unique in the
database, and a creator's balance is a sum of entries whose ids say what they are for.
"""

from __future__ import annotations

from sqlite3 import Connection
from typing import TYPE_CHECKING, Literal

from cgk_jobs import Context
from cgk_jobs.events.catalogue.payouts import PayoutInitiated
from cgk_jobs.examples.commerce.people import creator_email
from cgk_jobs.tenancy import current_tenant

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["HOLD_DAYS", "choose_provider", "credit", "enter_expense", "execute", "mature", "request", "tell", "undo"]

HOLD_DAYS = 30
"""The return window: a commission is not the creator's before."""

Provider = Literal["stripe", "wise", "manual"]


def choose_provider(db: Connection, creator_id: str) -> Provider:
    """A creator in the United States with Stripe is paid by Stripe, any with a Wise recipient by Wise, others by hand."""
    row = db.execute(
        "SELECT country, stripe_account, wise_recipient FROM creators WHERE creator_id = ?", (creator_id,)
    ).fetchone()
    country, stripe_account, wise_recipient = row or (None, None, None)
    if country == "US" and stripe_account:
        return "stripe"
    return "wise" if wise_recipient else "manual"


def request(
    db: Connection, payout_id: str, creator_id: str, amount_cents: int, currency: str, now: int, state: str
) -> None:
    """Enter a payout that was asked for; a second time changes nothing."""
    db.execute(
        "INSERT INTO payouts (payout_id, creator_id, amount_cents, currency, state, requested_at)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (payout_id, creator_id, amount_cents, currency, state, now),
    )


async def execute(app: Commerce, ctx: Context, payout_id: str, only: Provider | None = None) -> str:
    """Pay an approved payout by the creator's provider, unless that is another than ``only``; says what came of it."""
    with app.shops.current() as db:
        row = db.execute(
            "SELECT creator_id, amount_cents, currency, state FROM payouts WHERE payout_id = ?", (payout_id,)
        ).fetchone()
        if row is None:
            return "unknown"
        creator_id, amount_cents, currency, state = row
        provider = choose_provider(db, creator_id)
        if only is not None and provider != only:
            return f"left to {provider}"
        if state != "approved":
            return str(state)
        if provider == "manual":
            db.execute("UPDATE payouts SET state = 'manual_review' WHERE payout_id = ?", (payout_id,))
            return "manual_review"

    async def transfer() -> str:
        # The key is the payout's own, not the run's: two events for one payout are two runs and must share it.
        answer = await app.payments.transfer(
            ctx.tenant_id, f"payout:{payout_id}", creator_id, amount_cents, currency, provider
        )
        return answer.reference

    transfer_id = await ctx.step("transfer", transfer)
    with app.shops.current() as db:
        db.execute(
            "UPDATE payouts SET state = 'sent', provider = ?, transfer_id = ? WHERE payout_id = ? AND state = 'approved'",
            (provider, transfer_id, payout_id),
        )
        credit(db, f"payout:{payout_id}", creator_id, -amount_cents, currency, app.now())
    await ctx.send(
        PayoutInitiated(
            tenant_id=ctx.tenant_id,
            payout_id=payout_id,
            creator_id=creator_id,
            amount_cents=amount_cents,
            currency=currency,
            payout_type="international" if provider == "wise" else "domestic",
            provider=provider,
            transfer_id=transfer_id,
        ),
        key=f"payout-initiated:{payout_id}",
    )
    return "sent"


def credit(db: Connection, entry_id: str, creator_id: str, amount_cents: int, currency: str, now: int) -> bool:
    """Change a creator's balance once for ``entry_id``; false if that was done before."""
    return (
        db.execute(
            "INSERT INTO creator_entries (entry_id, creator_id, amount_cents, currency, booked_at)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (entry_id, creator_id, amount_cents, currency, now),
        ).rowcount
        == 1
    )


def undo(db: Connection, payout_id: str, now: int) -> bool:
    """Give the amount of a failed payout back to the creator's balance, once, if it had been taken."""
    db.execute("UPDATE payouts SET state = 'failed' WHERE payout_id = ? AND state != 'completed'", (payout_id,))
    row = db.execute(
        "SELECT creator_id, -amount_cents, currency FROM creator_entries WHERE entry_id = ?", (f"payout:{payout_id}",)
    ).fetchone()
    return row is not None and credit(db, f"payout-returned:{payout_id}", *row, now)


def enter_expense(db: Connection, payout_id: str, now: int) -> None:
    """Book a completed payout as an expense, once."""
    db.execute(
        "INSERT INTO expenses (reference, amount_cents, currency, spent_at)"
        " SELECT 'payout:' || payout_id, amount_cents, currency, ? FROM payouts WHERE payout_id = ?"
        " AND state = 'completed' ON CONFLICT DO NOTHING",
        (now, payout_id),
    )


def mature(db: Connection, earned_before: int) -> list[tuple[str, str, int, str]]:
    """Mature the commissions whose return window is over: order, creator, amount, currency of each."""
    return db.execute(
        "UPDATE commissions SET state = 'matured' WHERE state = 'pending' AND earned_at < ?"
        " RETURNING order_id, creator_id, amount_cents, currency",
        (earned_before,),
    ).fetchall()


async def tell(app: Commerce, creator_id: str, template: str, reference: str) -> bool:
    """Mail a creator about money, once per template and reference; false if there is no address."""
    with app.shops.current() as db:
        email = creator_email(db, creator_id)
    if email is None:
        return False
    await app.mailer.mail(current_tenant(), f"{template}:{reference}", email, template, reference)
    return True
