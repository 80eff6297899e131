"""The asset library: files taken in from projects, usage rights that end, images that nobody searched for faces yet."""

from __future__ import annotations

from datetime import date, timedelta
from sqlite3 import Connection
from typing import TYPE_CHECKING

from cgk_jobs import Context
from cgk_jobs.events.catalogue.dam import DamFaceDetection
from cgk_jobs.examples.commerce.alerting import raise_alert

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["FACE_BATCH", "WARN_DAYS", "ask_for_faces", "check_rights", "expire_rights", "take_in"]

FACE_BATCH = 50
"""Images that one run hands on for face search."""
WARN_DAYS = (30, 7, 1)
"""Days before the end of the rights on which the team is warned."""

TAKE_IN = """
    INSERT INTO assets (asset_id, project_id, kind, added_at)
    SELECT file_id, project_id, kind, :now FROM project_files
    WHERE (:project IS NULL OR project_id = :project) AND kind IN ('image', 'video', 'document')
      AND file_id NOT IN (SELECT asset_id FROM assets)
    ORDER BY added_at LIMIT :most
    ON CONFLICT DO NOTHING
"""
ENDING = """
    SELECT asset_id, rights_end_on FROM assets
    WHERE rights = 'granted' AND rights_end_on = ?1 AND (?2 IS NULL OR asset_id = ?2) ORDER BY asset_id
"""


def take_in(db: Connection, now: int, project_id: str | None = None, most: int = 1000) -> int:
    """Copy the files of one project, or of all, that the library does not have; at most ``most``."""
    return db.execute(TAKE_IN, {"now": now, "project": project_id, "most": most}).rowcount


def expire_rights(db: Connection, today: date, asset_id: str | None = None) -> int:
    """Expire the rights that ended before today; an asset may be used on its last day."""
    return db.execute(
        "UPDATE assets SET rights = 'expired' WHERE rights = 'granted' AND rights_end_on < ?1"
        " AND (?2 IS NULL OR asset_id = ?2)",
        (today.isoformat(), asset_id),
    ).rowcount


async def check_rights(
    app: Commerce, today: date, asset_id: str | None = None, warn_days: tuple[int, ...] = WARN_DAYS
) -> tuple[int, int]:
    """Warn of rights that end in so many days, and expire overdue ones; says how many of each."""
    with app.shops.current() as db:
        expired = expire_rights(db, today, asset_id)
        ending = [
            (asset, days)
            for days in warn_days
            for asset, _ in db.execute(ENDING, ((today + timedelta(days=days)).isoformat(), asset_id)).fetchall()
        ]
    warned = 0
    for asset, days in ending:
        alert_id = f"rights:{asset}:{today + timedelta(days=days)}:{days}"
        warned += await raise_alert(
            app, alert_id, "warning", "Usage rights are ending", f"{asset} may be used for {days} more days"
        )
    return warned, expired


async def ask_for_faces(app: Commerce, ctx: Context, asset_ids: list[str] | None = None) -> int:
    """Ask for a face search of the images named, or of those nobody asked it for; says how many."""
    if asset_ids is None:
        with app.shops.current() as db:
            rows = db.execute(
                "SELECT asset_id FROM assets WHERE kind = 'image' AND faces_asked_at IS NULL ORDER BY added_at LIMIT ?",
                (FACE_BATCH,),
            ).fetchall()
        asset_ids = [str(row[0]) for row in rows]
    for asset_id in asset_ids:
        await ctx.send(DamFaceDetection(tenant_id=ctx.tenant_id, asset_id=asset_id), key=f"faces:{asset_id}")
    if asset_ids:
        with app.shops.current() as db:
            db.executemany(
                "UPDATE assets SET faces_asked_at = ? WHERE asset_id = ?",
                [(app.now(), asset_id) for asset_id in asset_ids],
            )
    return len(asset_ids)
