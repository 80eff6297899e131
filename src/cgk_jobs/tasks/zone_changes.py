"""Time zones as a schedule sees them: spans of time with one UTC offset each, and what the clocks had shown before.

Moments are whole seconds since 1970 UTC. A *wall* is a reading of local clocks, counted in the same way: the seconds
from 1970-01-01 00:00 to it, as though no clock had ever been changed. Integers are exact, order themselves, and can't
be mistaken for a datetime of some zone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from cgk_jobs.errors import InvalidSchedule

__all__ = ["DAY", "OffsetSpan", "load_zone", "offset_spans"]

DAY = 86_400

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The years in which spans are known. A year of the calendar is left free at its end, as local times reach beyond UTC's.
_FIRST_YEAR = 1900
_LAST_YEAR = 9998


class OffsetSpan(NamedTuple):
    """A stretch of time in which the clocks of a zone are not changed, within one calendar year of UTC."""

    start: int
    """The first second."""
    end: int
    """The first second after it."""
    offset: int
    """Seconds by which local clocks are ahead of UTC."""
    shown: int
    """All walls before this one had been shown before the span began, and none from it on.

    Where clocks were put forward, it is less than ``start + offset``: the walls between the two are left out. Where they
    were put back it is more, until the span has caught up: the walls between come a second time.
    """


def load_zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name. Raises ``InvalidSchedule`` with the nearest names for one that is unknown.

    Names count as they are written in the database, also where the file system would take ``europe/berlin``; names of
    files that differ between machines (``localtime``) are unknown.
    """
    if name == "UTC" or name in _known_zones():
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise InvalidSchedule(f"time zone {name!r} can't be read ({error}): install the package tzdata") from error
    raise InvalidSchedule(f"time zone {name!r} is unknown: {_nearest(name)}")


def offset_spans(zone: ZoneInfo, low: int, high: int, *, newest_first: bool = False) -> Iterator[OffsetSpan]:
    """The spans that have a second in ``[low, high)``, whole, in order of time. Years before 1900 or after 9998 have none."""
    low = max(low, _new_year(_FIRST_YEAR))
    high = min(high, _new_year(_LAST_YEAR + 1))
    if low >= high:
        return
    years = range(_year(low), _year(high - 1) + 1)
    for year in reversed(years) if newest_first else years:
        spans = _spans_of_year(zone, year)
        for span in reversed(spans) if newest_first else spans:
            if span.start < high and low < span.end:
                yield span


# By the ZoneInfo itself, not its name: after ZoneInfo.clear_cache() a new version of the database is another object.
@lru_cache(maxsize=8192)
def _spans_of_year(zone: ZoneInfo, year: int) -> tuple[OffsetSpan, ...]:
    begin, end = _new_year(year), _new_year(year + 1)
    # Two days earlier: no change has ever moved clocks by more than one, so what was shown twice has ended by then.
    start = begin - 2 * DAY
    offset = _offset(zone, start)
    shown = start + offset
    spans: list[OffsetSpan] = []
    for instant, changed in (*_changes(zone, start, end), (end, offset)):
        if instant > begin:
            if start < begin:
                start = begin
                shown = max(shown, begin + offset)
            spans.append(OffsetSpan(start, instant, offset, shown))
        # No clock is changed again while time comes twice; a datetime, with its one bit of fold, could not tell.
        shown = instant + offset
        start, offset = instant, changed
    return tuple(spans)


def _changes(zone: ZoneInfo, low: int, end: int) -> Iterator[tuple[int, int]]:
    """The seconds in ``(low, end)`` at which the offset becomes another, each with the new offset."""
    # zoneinfo answers offsets only, so each day's ends are compared. Changes of a zone lie a week apart, or more.
    old = _offset(zone, low)
    while low < end - 1:
        day = min(low + DAY, end - 1)
        new = _offset(zone, day)
        if new != old:
            before, after = low, day
            while after - before > 1:
                middle = (before + after) // 2
                if _offset(zone, middle) == old:
                    before = middle
                else:
                    after = middle
            yield after, new
        low, old = day, new


def _offset(zone: ZoneInfo, second: int) -> int:
    offset = (_EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
    return 0 if offset is None else offset.days * DAY + offset.seconds


def _year(second: int) -> int:
    return (_EPOCH + timedelta(seconds=second)).year


@lru_cache(maxsize=1024)
def _new_year(year: int) -> int:
    return (datetime(year, 1, 1, tzinfo=UTC) - _EPOCH).days * DAY


@lru_cache(maxsize=1)
def _known_zones() -> frozenset[str]:
    return frozenset(available_timezones() - {"localtime", "posixrules"})


def _nearest(name: str) -> str:
    known = _known_zones()
    if not known:
        return "no time zone database was found; install the package tzdata"
    # People write the city alone, spaces, or no capitals; a full name wins over another zone's city.
    spellings = {zone.rpartition("/")[2].casefold(): zone for zone in sorted(known, reverse=True)}
    spellings |= {zone.casefold(): zone for zone in known}
    wanted = name.strip().replace(" ", "_").casefold()
    close = [wanted] if wanted in spellings else get_close_matches(wanted, spellings, n=3, cutoff=0.7)
    if not close:
        return "use an IANA name such as 'America/New_York' or 'UTC'"
    names = list(dict.fromkeys(spellings[spelling] for spelling in close))
    return f"did you mean {' or '.join(map(repr, names))}?"
