"""The balance that payouts are paid from: refills of it, and draws on it that the treasurer approves by mail."""

from __future__ import annotations

import re
from sqlite3 import Connection
from typing import TYPE_CHECKING

from cgk_jobs.examples.commerce.people import setting
from cgk_jobs.examples.commerce.vendor_failures import for_each
from cgk_jobs.tenancy import current_tenant

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["PAYOUT_ACCOUNT", "decide", "enter_topup", "pending_topups", "read_answer", "send_approved", "treasurer"]

PAYOUT_ACCOUNT = "payouts"

_ANSWER = re.compile(
    r"(?:I )?(approve|reject)(?:d|ed)?:? +(?:draw +)?([A-Za-z0-9][A-Za-z0-9_-]*)[.,!]?(?: .*)?", re.IGNORECASE
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

    The decision is a line that begins with it: "Approve draw-17", "Rejected: draw-17". Anything else, such as "I do not
    approve draw-17", decides nothing, and neither do two decisions in one mail. Quoted lines are our own words; without a
    line of the treasurer's that decides, the subject counts.
    """
    written = [line.strip() for line in body.splitlines() if not line.lstrip().startswith(">")]
    decisions = {_decision(line) for line in written} - {None} or {_decision(subject.strip())}
    return decisions.pop() if len(decisions) == 1 else None


def _decision(line: str) -> tuple[str, str] | None:
    found = _ANSWER.fullmatch(line)
    if found is None or line.endswith("?"):
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

    The amount leaves the payout account's book first; what the account does not cover waits for a refill.
    """
    with app.shops.current() as db:
        approved = db.execute(
            "SELECT request_id, amount_cents, currency FROM draw_requests WHERE state IN ('approved', 'sending')"
            " ORDER BY request_id"
        ).fetchall()
        recipient = setting(db, "treasury_account", PAYOUT_ACCOUNT) if approved else ""

    async def send(draw: tuple[str, int, str]) -> int:
        request_id, amount_cents, currency = draw
        with app.shops.current() as db:
            if not _reserve(db, request_id, amount_cents):
                return 0
        answer = await app.payments.transfer(
            current_tenant(), f"draw:{request_id}", recipient, amount_cents, currency, "bank"
        )
        with app.shops.current() as db:
            return db.execute(
                "UPDATE draw_requests SET state = 'sent', transfer_id = ? WHERE request_id = ? AND state = 'sending'",
                (answer.reference, request_id),
            ).rowcount

    return await for_each(approved, send)


def _reserve(db: Connection, request_id: str, amount_cents: int) -> bool:
    """Take the amount from the account, once; false if it is not there. An installation may keep no such account."""
    account = db.execute("SELECT balance_cents FROM accounts WHERE account = ?", (PAYOUT_ACCOUNT,)).fetchone()
    draw = db.execute("SELECT state FROM draw_requests WHERE request_id = ?", (request_id,)).fetchone()
    if draw[0] != "approved":
        return True  # an earlier attempt took it
    if account is not None and account[0] < amount_cents:
        return False
    db.execute(
        "UPDATE accounts SET balance_cents = balance_cents - ? WHERE account = ?", (amount_cents, PAYOUT_ACCOUNT)
    )
    db.execute("UPDATE draw_requests SET state = 'sending' WHERE request_id = ?", (request_id,))
    return True
