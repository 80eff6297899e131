"""Days and hours as the databases keep them: moments are microseconds since 1970, days are UTC days."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from cgk_jobs import Tick
from cgk_jobs.clock import to_micros

__all__ = ["DAY", "HOUR", "closed_days", "day_span", "month_before", "span"]

HOUR = 3_600_000_000
DAY = 24 * HOUR


def span(first: date, last: date) -> tuple[int, int]:
    """From the beginning of ``first`` to, exclusively, the end of ``last``."""
    start = to_micros(datetime.combine(first, time(), UTC))
    return start, start + ((last - first).days + 1) * DAY


def day_span(day: date) -> tuple[int, int]:
    """The beginning of ``day`` and of the day after it."""
    return span(day, day)


def closed_days(tick: Tick) -> list[date]:
    """The days a daily summary has to do: all that ended since the tick before, which is more than one if ticks were missed.

    At most 31; yesterday where there was no tick before.
    """
    today = tick.scheduled_at.astimezone(UTC).date()
    yesterday = today - timedelta(days=1)
    first = tick.previous_at.astimezone(UTC).date() if tick.previous_at else yesterday
    first = max(min(first, yesterday), today - timedelta(days=31))
    return [first + timedelta(days=number) for number in range((today - first).days)]


def month_before(tick: Tick) -> tuple[date, date]:
    """The first and last day of the month that ended before the tick, on the clocks of its schedule."""
    last = tick.local_time.date().replace(day=1) - timedelta(days=1)
    return last.replace(day=1), last
