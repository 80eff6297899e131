"""Creators' projects and the parcels they wait for."""

from __future__ import annotations

from datetime import date
from sqlite3 import Connection
from typing import TYPE_CHECKING, Literal

from cgk_jobs import Context
from cgk_jobs.events.catalogue.creators import ProjectStatusChanged
from cgk_jobs.examples.commerce.alerting import raise_alert
from cgk_jobs.examples.commerce.days import DAY
from cgk_jobs.tenancy import current_tenant

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce
    from cgk_jobs.examples.commerce.vendors_carriers import Carrier

__all__ = ["advance", "escalate", "link_shipment", "track_parcels"]

MOST_PARCELS = 200
"""Parcels that one run asks the carrier about."""

DUE = """
    SELECT project_id, state, state_at, 'shipped' FROM projects WHERE state = 'open'
      AND EXISTS (SELECT 1 FROM parcels WHERE parcels.project_id = projects.project_id)
    UNION ALL
    SELECT project_id, state, state_at, 'in_progress' FROM projects WHERE state = 'shipped' AND NOT EXISTS
      (SELECT 1 FROM parcels WHERE parcels.project_id = projects.project_id AND parcels.state != 'delivered')
    UNION ALL
    SELECT project_id, state, state_at, 'overdue' FROM projects WHERE state = 'in_progress' AND deadline_on < :today
"""
LATE = """
    SELECT 'overdue:' || project_id, 'A project is overdue', project_id FROM projects
    WHERE state = 'overdue' AND state_at < :before
    UNION ALL
    SELECT 'payout-failed:' || payout_id, 'A payout failed', payout_id FROM payouts WHERE state = 'failed'
"""


def link_shipment(db: Connection, order_id: str, fulfillment_id: str, tracking_number: str | None, now: int) -> bool:
    """Enter a shipment as a parcel of the project whose order it carries; false if the order belongs to none."""
    project = db.execute("SELECT project_id, creator_id FROM projects WHERE order_id = ?", (order_id,)).fetchone()
    if project is None:
        return False
    db.execute(
        "INSERT INTO parcels (parcel_id, kind, creator_id, project_id, tracking_number, shipped_at)"
        " VALUES (?, 'product', ?, ?, ?, ?) ON CONFLICT DO UPDATE SET tracking_number = excluded.tracking_number",
        (fulfillment_id, project[1], project[0], tracking_number, now),
    )
    return True


async def track_parcels(
    app: Commerce, carrier: Carrier, kind: Literal["product", "sample"], parcel_id: str | None = None
) -> int:
    """Ask the carrier about the parcels under way, or one of them; says how many arrived or got lost."""
    with app.shops.current() as db:
        underway = db.execute(
            "SELECT parcel_id, tracking_number FROM parcels WHERE state = 'shipped' AND kind = ?1"
            " AND tracking_number IS NOT NULL AND (?2 IS NULL OR parcel_id = ?2) ORDER BY shipped_at LIMIT ?3",
            (kind, parcel_id, MOST_PARCELS),
        ).fetchall()
    if not underway:
        return 0
    found = await carrier.track(current_tenant(), [number for _, number in underway])
    ended = [
        (state, app.now() if state == "delivered" else None, parcel)
        for parcel, number in underway
        if (state := found.get(number, "in_transit")) != "in_transit"
    ]
    if ended:
        with app.shops.current() as db:
            db.executemany(
                "UPDATE parcels SET state = ?, delivered_at = ? WHERE parcel_id = ? AND state = 'shipped'", ended
            )
    return len(ended)


async def advance(app: Commerce, ctx: Context, today: date) -> int:
    """Move projects on: shipped once a parcel left, in progress once all arrived, overdue after the deadline.

    A change is announced before it is made. After a crash in between it is announced again under the same key and made.
    """
    with app.shops.current() as db:
        due = db.execute(DUE, {"today": today.isoformat()}).fetchall()
    for project_id, old, since, new in due:
        await ctx.send(
            ProjectStatusChanged(tenant_id=ctx.tenant_id, project_id=project_id, old_status=old, new_status=new),
            key=f"project:{project_id}:{since}:{new}",
        )
        with app.shops.current() as db:
            db.execute(
                "UPDATE projects SET state = ?, state_at = ? WHERE project_id = ? AND state = ? AND state_at = ?",
                (new, app.now(), project_id, old, since),
            )
    return len(due)


async def escalate(app: Commerce) -> int:
    """Raise what lies: projects overdue for two days, failed payouts. Each is raised once; says how many were new."""
    with app.shops.current() as db:
        late = [
            row
            for row in db.execute(LATE, {"before": app.now() - 2 * DAY}).fetchall()
            if db.execute("SELECT 1 FROM alerts WHERE alert_id = ?", (row[0],)).fetchone() is None
        ]
    raised = 0
    for alert_id, title, subject in late:
        raised += await raise_alert(app, alert_id, "error", title, subject)
    return raised
