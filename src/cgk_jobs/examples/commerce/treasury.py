"""The balance that payouts are paid from: refills of it, and draws on it that the treasurer approves by mail."""

from __future__ import annotations

import re
from sqlite3 import Connection
from typing import TYPE_CHECKING

from cgk_jobs import NonRetryable
from cgk_jobs.examples.commerce.people import setting
from cgk_jobs.examples.commerce.vendor_failures import for_each
from cgk_jobs.tenancy import current_tenant

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["PAYOUT_ACCOUNT", "decide", "enter_topup", "pending_topups", "read_answer", "send_approved", "treasurer"]

PAYOUT_ACCOUNT = "payouts"

_DECIDING = re.compile(r"\b(?:approve|reject)(?:d|ed)?\b", re.IGNORECASE)
_ANSWER = re.compile(
    r"(?:I )?(approve|reject)(?:d|ed)?:? +(?:draw +)?([A-Za-z0-9][A-Za-z0-9_-]*)"
    r"(?:[.,!]? +(?:please|thanks|thank you|cheers|regards))?[.!]?",
    re.IGNORECASE,
)


def treasurer(db: Connection) -> str:
    """The treasurer's mail address; empty where the tenant has not named one."""
    return setting(db, "treasurer_email", "")


def enter_topup(db: Connection, topup_id: str, amount_cents: int, currency: str) -> bool:
    """Add a refill to the payout account; false if it was added before."""
    db.execute(
        "INSERT INTO topups (topup_id, account, amount_cents, currency) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (topup_id, PAYOUT_ACCOUNT, amount_cents, currency),
    )
    row = db.execute(
        "UPDATE topups SET state = 'succeeded' WHERE topup_id = ? AND state = 'pending' RETURNING account, amount_cents",
        (topup_id,),
    ).fetchone()
    if row is None:
        return False
    db.execute("UPDATE accounts SET balance_cents = balance_cents + ? WHERE account = ?", (row[1], row[0]))
    return True


def pending_topups(db: Connection) -> list[tuple[str, int, str]]:
    """The refills whose end is not known: id, amount and currency."""
    return db.execute("SELECT topup_id, amount_cents, currency FROM topups WHERE state = 'pending'").fetchall()


def read_answer(subject: str, body: str) -> tuple[str, str] | None:
    """``approved`` or ``rejected``, and the request it is about; ``None`` if a mail does not say so plainly.

    The decision is a line of its own, with no more than a word of thanks behind it: "Approve draw-17", "Rejected:
    draw-17, thanks". A line that speaks of approving or rejecting in any other way, such as "Approve draw-17 next week"
    or "I do not approve draw-17", leaves the whole mail undecided, and so do two different decisions. Quoted lines are our
    own words; the subject counts where the treasurer wrote nothing below it.
    """
    lines = [line.strip() for line in body.splitlines() if not line.lstrip().startswith(">")]
    written = [line for line in lines if line] or [subject.strip()]
    decisions = {_decision(line) for line in written if _DECIDING.search(line)}
    return decisions.pop() if len(decisions) == 1 else None


def _decision(line: str) -> tuple[str, str] | None:
    found = _ANSWER.fullmatch(line)
    if found is None:
        return None
    return {"approve": "approved", "reject": "rejected"}[found[1].lower()], found[2]


def decide(db: Connection, request_id: str, state: str) -> str:
    """Approve or reject a draw request; its new state, ``decided before``, or ``unknown``."""
    decided = db.execute(
        "UPDATE draw_requests SET state = ? WHERE request_id = ? AND state = 'requested'", (state, request_id)
    )
    if decided.rowcount == 1:
        return state
    known = db.execute("SELECT 1 FROM draw_requests WHERE request_id = ?", (request_id,)).fetchone()
    return "decided before" if known else "unknown"


async def send_approved(app: Commerce) -> int:
    """Transfer the money of approved draw requests, each once; says how many were sent.

    The amount leaves the payout account's book first; what the account does not cover waits for a refill. A draw that the
    vendor refuses for good fails and gives the amount back.
    """
    with app.shops.current() as db:
        approved = db.execute(
            "SELECT request_id, amount_cents, currency FROM draw_requests WHERE state IN ('approved', 'sending')"
            " ORDER BY request_id"
        ).fetchall()

    async def send(draw: tuple[str, int, str]) -> int:
        request_id, amount_cents, currency = draw
        with app.shops.current() as db:
            recipient = _reserve(db, request_id, amount_cents)
        if recipient is None:
            return 0
        try:
            answer = await app.payments.transfer(
                current_tenant(), f"draw:{request_id}", recipient, amount_cents, currency, "bank"
            )
        except NonRetryable:
            with app.shops.current() as db:
                _give_back(db, request_id, amount_cents)
            raise
        with app.shops.current() as db:
            return db.execute(
                "UPDATE draw_requests SET state = 'sent', transfer_id = ? WHERE request_id = ? AND state = 'sending'",
                (answer.reference, request_id),
            ).rowcount

    return await for_each(approved, send)


def _reserve(db: Connection, request_id: str, amount_cents: int) -> str | None:
    """Take the amount from the account, once; whom it goes to, or ``None`` if it is not there or the draw has ended.

    An installation may keep no such account.
    """
    state, recipient = db.execute(
        "SELECT state, recipient FROM draw_requests WHERE request_id = ?", (request_id,)
    ).fetchone()
    if state == "sending":
        return str(recipient)  # an earlier attempt took it
    account = db.execute("SELECT balance_cents FROM accounts WHERE account = ?", (PAYOUT_ACCOUNT,)).fetchone()
    if state != "approved" or (account is not None and account[0] < amount_cents):
        return None
    recipient = setting(db, "treasury_account", PAYOUT_ACCOUNT)
    db.execute(
        "UPDATE accounts SET balance_cents = balance_cents - ? WHERE account = ?", (amount_cents, PAYOUT_ACCOUNT)
    )
    db.execute(
        "UPDATE draw_requests SET state = 'sending', recipient = ? WHERE request_id = ?", (recipient, request_id)
    )
    return recipient


def _give_back(db: Connection, request_id: str, amount_cents: int) -> None:
    """Mark a draw as failed and return its amount to the account, once."""
    failed = db.execute(
        "UPDATE draw_requests SET state = 'failed' WHERE request_id = ? AND state = 'sending'", (request_id,)
    )
    if failed.rowcount == 1:
        db.execute(
            "UPDATE accounts SET balance_cents = balance_cents + ? WHERE account = ?", (amount_cents, PAYOUT_ACCOUNT)
        )
