"""When nobody is texted: from nine in the evening to nine in the morning, in the tenant's own time zone."""

from __future__ import annotations

from datetime import time
from zoneinfo import ZoneInfo

from cgk_jobs.clock import from_micros

__all__ = ["QUIET_FROM", "QUIET_UNTIL", "is_quiet"]

QUIET_FROM = time(21)
QUIET_UNTIL = time(9)


def is_quiet(now: int, zone: str) -> bool:
    """Whether ``now`` (microseconds since 1970 UTC) lies in the quiet hours of ``zone``, like ``Europe/Paris``.

    Raises ``ZoneInfoNotFoundError`` for an unknown zone.
    """
    local = from_micros(now).astimezone(ZoneInfo(zone)).time()
    return local >= QUIET_FROM or local < QUIET_UNTIL
