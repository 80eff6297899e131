"""Payouts that a person lets go: a signed link by mail, and a run that waits for the answer."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from cgk_jobs import Context, Event, WaitTimeout
from cgk_jobs.events.catalogue.payouts import PayoutApproved
from cgk_jobs.examples.commerce import paying
from cgk_jobs.examples.commerce.people import setting

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["ANSWER_WITHIN", "PayoutDecided", "ask"]

ANSWER_WITHIN = timedelta(days=7)
"""As long the link is good, and as long the run waits for it."""


class PayoutDecided(Event, name="commerce_example.payout_decided"):
    """What the approver of payouts answered. The link settles ``payout_id``."""

    payout_id: str
    approved: bool


async def ask(app: Commerce, ctx: Context, payout_id: str) -> str:
    """Ask whoever approves the tenant's payouts, the setting ``payout_approver``, and act on the answer; says what it was.

    Without one the payout stays as it is: it is approved elsewhere. A process where links are answered must know the event:
    ``jobs.events.add(PayoutDecided)``.
    """
    approver = await ctx.step("approver", _approver, app)
    if not approver:
        return "requested"
    link = ctx.approval_link(PayoutDecided, "payout_id", expires=ANSWER_WITHIN)

    async def mail() -> None:
        await app.mailer.mail(ctx.tenant_id, f"payout-approval:{payout_id}", approver, "payout-approval", link.url)

    await ctx.step("ask", mail)
    try:
        decided = await ctx.wait_for(PayoutDecided, "payout_id", timeout=ANSWER_WITHIN)
    except WaitTimeout:
        ctx.log.warning("nobody decided about payout %s", payout_id)
        return "undecided"
    if decided.approved:
        await ctx.send(
            PayoutApproved(tenant_id=ctx.tenant_id, request_id=payout_id), key=f"payout-approved:{payout_id}"
        )
        return "approved"
    with app.shops.current() as db:
        creator_id = paying.refuse(db, payout_id)
    if creator_id is not None:
        await paying.tell(app, creator_id, "payout-refused", payout_id)
    return "refused"


def _approver(app: Commerce) -> str:
    with app.shops.current() as db:
        return setting(db, "payout_approver", "")
