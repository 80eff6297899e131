"""One message for many recipients, in pieces that keep to the pace of the vendor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cgk_jobs import Context
from cgk_jobs.tenancy import current_tenant

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["PAUSE_SECONDS", "due", "send_in_pieces", "send_piece"]

PAUSE_SECONDS = 60.0
"""Between two pieces: a piece is what the vendor takes in a minute."""

Kind = Literal["creator", "esign"]


async def send_in_pieces(app: Commerce, ctx: Context, kind: Kind, bulk_send_id: str, piece: int) -> int:
    """Send to ``piece`` recipients, sleep a minute, go on; says how many were reached.

    One run for the whole list: it holds no worker while it sleeps, and a piece that left does not leave again. It ends
    early once the send is cancelled in the database, and at once when the run is.
    """
    reached = 0
    while True:
        sent: int = await ctx.step("piece", send_piece, app, kind, bulk_send_id, piece)
        reached += sent
        if sent < piece:
            return reached
        await ctx.sleep(PAUSE_SECONDS)
        ctx.check_cancelled()


async def send_piece(app: Commerce, kind: Kind, bulk_send_id: str, most: int) -> int:
    """Send to the next recipients; fewer than ``most`` means that nobody is left, or that the send was cancelled.

    Raises ``VendorUnavailable`` as soon as the vendor fails. Who was reached is noted at once, so the next attempt goes on
    behind them; the key at the vendor covers a crash between the mail and the note.
    """
    with app.shops.current() as db:
        begun = db.execute(
            "UPDATE bulk_sends SET state = 'sending' WHERE bulk_send_id = ? AND kind = ?"
            " AND state IN ('draft', 'scheduled', 'sending') RETURNING template",
            (bulk_send_id, kind),
        ).fetchone()
        if begun is None:
            return 0
        recipients = db.execute(
            "SELECT recipient FROM bulk_recipients WHERE bulk_send_id = ? AND sent_at IS NULL ORDER BY recipient LIMIT ?",
            (bulk_send_id, most),
        ).fetchall()
    for (recipient,) in recipients:
        key = f"bulk:{bulk_send_id}:{recipient}"
        await app.mailer.mail(current_tenant(), key, recipient, begun[0], bulk_send_id)
        with app.shops.current() as db:
            db.execute(
                "UPDATE bulk_recipients SET sent_at = ? WHERE bulk_send_id = ? AND recipient = ?",
                (app.now(), bulk_send_id, recipient),
            )
    if len(recipients) < most:
        with app.shops.current() as db:
            db.execute(
                "UPDATE bulk_sends SET state = 'sent' WHERE bulk_send_id = ? AND state = 'sending'", (bulk_send_id,)
            )
    return len(recipients)


def due(app: Commerce, kind: Kind) -> list[str]:
    """The sends of a kind whose time has come."""
    with app.shops.current() as db:
        rows = db.execute(
            "SELECT bulk_send_id FROM bulk_sends WHERE state = 'scheduled' AND kind = ? AND starts_at <= ?"
            " ORDER BY starts_at LIMIT 50",
            (kind, app.now()),
        ).fetchall()
    return [str(row[0]) for row in rows]
