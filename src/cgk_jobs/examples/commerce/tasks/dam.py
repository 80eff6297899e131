"""The asset library: files, usage rights, face search."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from cgk_jobs import Context, Event, TaskGroup, Tick
from cgk_jobs.events.catalogue.dam import (
    DamBulkIngest,
    DamFaceDetection,
    DamGdriveSyncRequested,
    DamRightsExpiryCheck,
)
from cgk_jobs.examples.commerce import library
from cgk_jobs.examples.commerce.policies import HEAVY, STANDARD, VENDOR
from cgk_jobs.examples.commerce.simulation import simulated

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("dam",)
SIMULATED = ("dam", "simulated")


class OneProject(Event):
    """A project whose files belong into the library."""

    project_id: str


class Assets(Event):
    """These assets."""

    asset_ids: list[str]


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    _files(group, app)
    _rights(group, app)
    _faces(group, app)
    _vendors(group)
    return group


def _files(group: TaskGroup, app: Commerce) -> None:
    @group.task(id="dam-ingest-project", retry=STANDARD, tags=TAGS)
    async def ingest_project(project: OneProject) -> int:
        """Take the files of one project into the library; says how many were new."""
        with app.shops.current() as db:
            return library.take_in(db, app.now(), project.project_id)

    @group.cron("0 4 * * *", tenants="each", id="dam-bulk-ingest", retry=HEAVY, tags=TAGS)
    async def bulk_ingest(tick: Tick) -> int:
        """Take in what the projects have and the library has not, at most a thousand files a night."""
        with app.shops.current() as db:
            return library.take_in(db, app.now())

    @group.task(on=DamBulkIngest, id="dam-bulk-ingest-on-request", retry=HEAVY, tags=TAGS)
    async def bulk_ingest_on_request(event: DamBulkIngest) -> int:
        """Take in the files of the projects named, or of all, up to ``limit`` files."""
        left = 1000 if event.limit is None else event.limit
        taken = 0
        with app.shops.current() as db:
            for project_id in event.project_ids or (None,):
                taken += library.take_in(db, app.now(), project_id, left - taken)
        return taken


def _rights(group: TaskGroup, app: Commerce) -> None:
    @group.cron("0 8 * * *", tenants="each", id="dam-rights-expiry-check", retry=STANDARD, tags=TAGS)
    async def rights_check(tick: Tick) -> dict[str, int]:
        """Warn about usage rights that end in thirty days, seven and one, and expire overdue ones."""
        warned, expired = await library.check_rights(app, tick.scheduled_at.astimezone(UTC).date())
        return {"warned": warned, "expired": expired}

    @group.task(on=DamRightsExpiryCheck, id="dam-rights-expiry-check-on-request", retry=STANDARD, tags=TAGS)
    async def rights_check_on_request(event: DamRightsExpiryCheck) -> dict[str, int]:
        """Check one asset or all; ``days_to_expiry`` warns of what ends in so many days instead of the usual ones."""
        days = library.WARN_DAYS if event.days_to_expiry is None else (event.days_to_expiry,)
        warned, expired = await library.check_rights(app, app.today(), event.asset_id, days)
        return {"warned": warned, "expired": expired}


def _faces(group: TaskGroup, app: Commerce) -> None:
    @group.task(id="batch-detect-faces", retry=HEAVY, tags=TAGS)
    async def batch_detect_faces(assets: Assets, ctx: Context) -> int:
        """Ask for a face search of each asset."""
        return await library.ask_for_faces(app, ctx, assets.asset_ids)

    @group.cron("0 3 * * 0", tenants="each", id="scan-all-for-faces", retry=HEAVY, tags=TAGS)
    async def scan_all(tick: Tick, ctx: Context) -> int:
        """Ask for a face search of fifty images that were not searched yet."""
        return await library.ask_for_faces(app, ctx)

    simulated(
        group.task(on=DamFaceDetection, id="detect-asset-faces", retry=STANDARD, tags=SIMULATED),
        "Find faces in one asset",
    )


def _vendors(group: TaskGroup) -> None:
    simulated(
        group.cron("0 4 * * *", tenants="each", id="dam-mux-backfill", retry=VENDOR, tags=SIMULATED),
        "Create streaming assets for older videos",
    )
    simulated(
        group.cron("0 3 * * *", tenants="each", id="google-drive-sync", retry=VENDOR, tags=SIMULATED),
        "Import files from connected Drive folders",
    )
    simulated(
        group.task(on=DamGdriveSyncRequested, id="google-drive-sync-on-request", retry=VENDOR, tags=SIMULATED),
        "Import files from one Drive folder or all",
    )
