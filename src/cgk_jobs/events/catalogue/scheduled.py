"""Regular ticks as events, for work that several tasks hang on. A single task is better declared as a cron."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from cgk_jobs.events.event import Event
from cgk_jobs.events.fields import Days

__all__ = ["DailyMetrics", "DamRightsExpiryDaily", "HourlySync", "VideoSyncRecovery", "WeeklyDigest"]


class DailyMetrics(Event, name="daily.metrics"):
    """Aggregate the metrics of one day: ``date`` in the tenant's time zone, the day before where not given.

    A second run for the same day overwrites the first.
    """

    date: dt.date | None = None
    metrics: list[Literal["revenue", "attribution", "customers", "all"]] | None = None


class HourlySync(Event, name="hourly.sync"):
    """Synchronise what is kept up to date by the hour."""


class WeeklyDigest(Event, name="weekly.digest"):
    """Send the digest of the week: to one creator or, without ``creator_id``, to all."""

    creator_id: str | None = None


class VideoSyncRecovery(Event, name="video.sync.recovery"):
    """Look for video work that got stuck and start it again."""


class DamRightsExpiryDaily(Event, name="dam.rights.expiry.daily"):
    """Look for usage rights of assets that end within ``days_ahead`` days."""

    days_ahead: Days | None = None
