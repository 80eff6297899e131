"""Money to creators. A payout is paid once, whatever crashes when.

Three things see to it, and each alone would do: the vendor knows the payout's key, a payout leaves the state ``approved``
once, and a creator's balance is a sum of entries whose ids say what they are for. The run adds its journal: a step that is
done is not done again, and a run that fails for good undoes what it charged.
"""

from __future__ import annotations

from collections.abc import Collection
from sqlite3 import Connection
from typing import TYPE_CHECKING, Literal, TypedDict

from cgk_jobs import Context, NonRetryable
from cgk_jobs.events.catalogue.payouts import PayoutInitiated
from cgk_jobs.examples.commerce.people import creator_email, setting
from cgk_jobs.tenancy import current_tenant

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = [
    "Provider",
    "approve",
    "balance",
    "choose_provider",
    "complete",
    "credit",
    "enter_expenses",
    "execute",
    "give_back",
    "key_of",
    "refuse",
    "request",
    "tell",
    "undo",
]

Provider = Literal["stripe", "wise", "manual"]

ENTER_EXPENSES = """
    INSERT INTO expenses (reference, amount_cents, currency, spent_at)
    SELECT 'payout:' || payout_id, amount_cents, currency, completed_at FROM payouts
    WHERE state = 'completed' AND completed_at >= :start AND completed_at < :end
      AND (:payout_id IS NULL OR payout_id = :payout_id)
      AND NOT EXISTS (SELECT 1 FROM expenses WHERE reference = 'payout:' || payout_id)
"""


def key_of(payout_id: str) -> str:
    """A payout's key at the vendor and in the books.

    It is the payout's own, not the run's: two events for one payout are two runs and must share it.
    """
    return f"payout:{payout_id}"


def choose_provider(db: Connection, creator_id: str) -> Provider:
    """A creator in the United States with Stripe is paid by Stripe, any with a Wise recipient by Wise, others by hand."""
    row = db.execute(
        "SELECT country, stripe_account, wise_recipient FROM creators WHERE creator_id = ?", (creator_id,)
    ).fetchone()
    country, stripe_account, wise_recipient = row or (None, None, None)
    if country == "US" and stripe_account:
        return "stripe"
    return "wise" if wise_recipient else "manual"


def request(db: Connection, payout_id: str, creator_id: str, amount_cents: int, currency: str, now: int) -> None:
    """Enter a payout that was asked for; a second time changes nothing.

    It is approved at once unless the tenant's setting ``payout_approval`` is ``required``. Raises ``NonRetryable`` for an
    amount of nothing or less.
    """
    if amount_cents <= 0:
        raise NonRetryable(f"payout {payout_id} is of {amount_cents} cents: ask for more than nothing")
    state = "requested" if setting(db, "payout_approval", "automatic") == "required" else "approved"
    db.execute(
        "INSERT INTO payouts (payout_id, creator_id, amount_cents, currency, state, requested_at)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (payout_id, creator_id, amount_cents, currency, state, now),
    )


def approve(db: Connection, payout_id: str) -> bool:
    """Let a payout go that waits for a person; false if it does not wait."""
    return (
        db.execute(
            "UPDATE payouts SET state = 'approved' WHERE payout_id = ? AND state IN ('requested', 'manual_review')",
            (payout_id,),
        ).rowcount
        == 1
    )


def refuse(db: Connection, payout_id: str) -> str | None:
    """End a payout that waits for approval, whose money was never touched; its creator, ``None`` if it does not wait."""
    row = db.execute(
        "UPDATE payouts SET state = 'failed' WHERE payout_id = ? AND state = 'requested' RETURNING creator_id",
        (payout_id,),
    ).fetchone()
    return None if row is None else str(row[0])


class Reserved(TypedDict):
    """What is to be paid, and how. ``transfer_id`` is there where the money is on its way already."""

    creator_id: str
    amount_cents: int
    currency: str
    into: str
    provider: Literal["stripe", "wise"]
    transfer_id: str | None


async def execute(app: Commerce, ctx: Context, payout_id: str, by: Collection[Provider]) -> str:
    """Pay an approved payout by the creator's provider if that is one of ``by``; says what came of it.

    The balance is charged first, so two payouts never spend the same money; what it does not cover is left to a person. If
    the run fails for good, that step is undone: the money goes back to the balance, unless it has left after all.
    """
    found: Reserved | str = await ctx.step(
        "reserve", _reserve, app, payout_id, list(by), undo=(give_back, app, payout_id)
    )
    if isinstance(found, str):
        return found
    creator_id, amount_cents, currency = found["creator_id"], found["amount_cents"], found["currency"]
    transfer_id = found["transfer_id"]

    async def transfer() -> str:
        answer = await app.payments.transfer(
            ctx.tenant_id, key_of(payout_id), creator_id, amount_cents, currency, found["provider"], found["into"]
        )
        return answer.reference

    if transfer_id is None:
        transfer_id = await ctx.step("transfer", transfer)
        await ctx.step("enter", _enter_transfer, app, payout_id, transfer_id)
    # Announced also if another run paid and got no further.
    await ctx.send(
        PayoutInitiated(
            tenant_id=ctx.tenant_id,
            payout_id=payout_id,
            creator_id=creator_id,
            amount_cents=amount_cents,
            currency=currency,
            payout_type="international" if found["provider"] == "wise" else "domestic",
            provider=found["provider"],
            transfer_id=transfer_id,
        ),
        key=f"payout-initiated:{payout_id}",
    )
    return "sent"


def _reserve(app: Commerce, payout_id: str, by: Collection[Provider]) -> Reserved | str:
    """Charge the balance and settle the provider; where there is nothing to pay, why."""
    with app.shops.current() as db:
        row = db.execute(
            "SELECT creator_id, amount_cents, payouts.currency, payouts.state, provider, transfer_id,"
            " creators.currency FROM payouts"
            " LEFT JOIN creators USING (creator_id) WHERE payout_id = ?",
            (payout_id,),
        ).fetchone()
        if row is None:
            return "unknown"
        creator_id, amount_cents, currency, state, used, transfer_id, own_currency = row
        provider: Provider = used or choose_provider(db, creator_id)
        if provider not in by:
            return f"left to {provider}"
        if state not in ("approved", "sent"):
            return str(state)
        if provider == "manual" or (
            state == "approved" and not _charge(db, payout_id, creator_id, amount_cents, currency, app.now())
        ):
            db.execute("UPDATE payouts SET state = 'manual_review' WHERE payout_id = ?", (payout_id,))
            return "manual_review"
        if used is None:
            # For good: after an answer that was lost, another provider would not know the key.
            db.execute("UPDATE payouts SET provider = ? WHERE payout_id = ?", (provider, payout_id))
        return Reserved(
            creator_id=creator_id, amount_cents=amount_cents, currency=currency, into=own_currency or "",
            provider=provider, transfer_id=transfer_id,
        )  # fmt: skip


def _enter_transfer(app: Commerce, payout_id: str, transfer_id: str) -> None:
    with app.shops.current() as db:
        db.execute(
            "UPDATE payouts SET state = 'sent', transfer_id = ? WHERE payout_id = ? AND state = 'approved'",
            (transfer_id, payout_id),
        )


async def give_back(app: Commerce, payout_id: str) -> str:
    """Undo the reservation of a payout that could not be paid, and tell the creator; says in which state the payout is.

    Whether money has left is for the vendor to say: its answer may have been lost, and another run may be about the same
    payout. So the key is barred first; a transfer it moved already stands, and is entered instead.
    """
    with app.shops.current() as db:
        row = db.execute("SELECT state FROM payouts WHERE payout_id = ?", (payout_id,)).fetchone()
    if row is None or row[0] not in ("approved", "failed"):
        return "unknown" if row is None else str(row[0])
    transfer_id = await app.payments.bar(current_tenant(), key_of(payout_id))
    if transfer_id is not None:
        _enter_transfer(app, payout_id, transfer_id)
        return "sent" if row[0] == "approved" else "failed"
    with app.shops.current() as db:
        creator_id = undo(db, payout_id, app.now())
    if creator_id is not None:
        await tell(app, creator_id, "payout-failed", payout_id)
    return "failed"


def balance(db: Connection, creator_id: str, currency: str) -> int:
    """What a creator is owed."""
    return int(
        db.execute(
            "SELECT coalesce(sum(amount_cents), 0) FROM creator_entries WHERE creator_id = ? AND currency = ?",
            (creator_id, currency),
        ).fetchone()[0]
    )


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


def _charge(db: Connection, payout_id: str, creator_id: str, amount_cents: int, currency: str, now: int) -> bool:
    """Charge the balance for a payout; true as well if an earlier attempt did, false if it does not suffice."""
    if db.execute("SELECT 1 FROM creator_entries WHERE entry_id = ?", (key_of(payout_id),)).fetchone():
        return True
    if balance(db, creator_id, currency) < amount_cents:
        return False
    return credit(db, key_of(payout_id), creator_id, -amount_cents, currency, now)


def complete(db: Connection, payout_id: str, completed_at: int) -> tuple[str, str] | None:
    """Note that the money arrived and book it as an expense; creator and state, ``None`` for an unknown payout."""
    db.execute(
        "UPDATE payouts SET state = 'completed', completed_at = ? WHERE payout_id = ? AND state IN ('approved', 'sent')",
        (completed_at, payout_id),
    )
    row = db.execute("SELECT creator_id, state FROM payouts WHERE payout_id = ?", (payout_id,)).fetchone()
    enter_expenses(db, payout_id=payout_id)
    return None if row is None else (str(row[0]), str(row[1]))


def undo(db: Connection, payout_id: str, now: int) -> str | None:
    """Give the amount of a failed payout back to the balance, once; the creator, ``None`` if the payout did not fail."""
    db.execute("UPDATE payouts SET state = 'failed' WHERE payout_id = ? AND state != 'completed'", (payout_id,))
    row = db.execute("SELECT creator_id FROM payouts WHERE payout_id = ? AND state = 'failed'", (payout_id,)).fetchone()
    if row is None:
        return None
    charged = db.execute(
        "SELECT -amount_cents, currency FROM creator_entries WHERE entry_id = ?", (key_of(payout_id),)
    ).fetchone()
    if charged is not None:
        credit(db, f"payout-returned:{payout_id}", row[0], charged[0], charged[1], now)
    return str(row[0])


def enter_expenses(db: Connection, start: int = 0, end: int = 1 << 62, payout_id: str | None = None) -> int:
    """Book completed payouts as expenses, each once: those completed in a span, or one; says how many were new."""
    return db.execute(ENTER_EXPENSES, {"start": start, "end": end, "payout_id": payout_id}).rowcount


async def tell(app: Commerce, creator_id: str, template: str, reference: str) -> bool:
    """Mail a creator about money, once per template and reference; false if there is no address."""
    with app.shops.current() as db:
        email = creator_email(db, creator_id)
    if email is None:
        return False
    await app.mailer.mail(current_tenant(), f"{template}:{reference}", email, template, reference)
    return True
