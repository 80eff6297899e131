"""The asset library (digital asset management): files, their usage rights, imports and exports."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cgk_jobs.events.event import Event
from cgk_jobs.events.fields import Bytes, Count

__all__ = [
    "DamAssetUploaded",
    "DamBulkIngest",
    "DamExportRequested",
    "DamFaceDetection",
    "DamGdriveSyncRequested",
    "DamRightsExpiryCheck",
]


class DamAssetUploaded(Event, name="dam.asset.uploaded"):
    """A file entered the asset library."""

    asset_id: str
    project_id: str | None = None
    asset_type: Literal["image", "video", "document"]
    size: Bytes


class DamGdriveSyncRequested(Event, name="dam.gdrive.sync.requested"):
    """An import from Google Drive was asked for: of one folder or, without ``folder_id``, of all connected ones.

    ``full_sync`` reads every file again instead of only those that changed.
    """

    folder_id: str | None = None
    full_sync: bool | None = None


class DamRightsExpiryCheck(Event, name="dam.rights.expiry.check"):
    """Check usage rights that end within ``days_to_expiry`` days: of one asset or, without ``asset_id``, of all."""

    asset_id: str | None = None
    days_to_expiry: Annotated[
        int | None, Field(description="Days until the rights end; negative once they have ended.")
    ] = None


class DamExportRequested(Event, name="dam.export.requested"):
    """An export of assets was asked for. ``format`` is a file extension like ``zip``."""

    export_id: str
    asset_ids: list[str]
    format: str | None = None


class DamFaceDetection(Event, name="dam.face_detection"):
    """Find the faces in an asset."""

    asset_id: str


class DamBulkIngest(Event, name="dam.bulk_ingest"):
    """Take the files of projects into the library: of those named or of all, at most ``limit`` files."""

    project_ids: list[str] | None = None
    limit: Count | None = None
