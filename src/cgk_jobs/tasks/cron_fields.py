"""A cron expression without a time zone: which walls (readings of local clocks) it matches.

``cronsim`` reads the fields and decides which days match. The walk over days and times is done here, because it has to
start anywhere, go both ways, and leave all matters of changed clocks to :mod:`cgk_jobs.tasks.schedule`. cronsim's own,
given a zone, answers moments that have passed when it starts within an hour that comes twice, and finds or loses ticks
of intervals where clocks change at midnight or by half an hour.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache

from cronsim import CronSim, CronSimError

from cgk_jobs.errors import InvalidSchedule
from cgk_jobs.tasks.zone_changes import DAY

__all__ = ["CronFields", "parse_expression"]

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_ONE_DAY = timedelta(days=1)
# cronsim wants a moment to start from. Any does: the fields read the same.
_ANY_MOMENT = datetime(2024, 1, 1, tzinfo=UTC)

# cronsim takes 5-5/10 for 5/10, which is 5, 15, 25 and so on; in cron it is the one number.
_RANGE_OF_ONE = re.compile(r"(?<![^\s,])(\d+|[A-Z]{3})-\1/0*[1-9]\d*(?![^\s,])", re.IGNORECASE)

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "minute": ("0-59", ()),
    "hour": ("0-23", ()),
    "day-of-month": ("1-31 and within its months, L for the last day, LW for the last weekday", ("L", "LW")),
    "month": ("1-12 or JAN-DEC", _MONTHS),
    "day-of-week": (
        "0-7 or SUN-SAT (0 and 7 are Sunday), MON#2 for the second Monday, 5L for the last Friday",
        _WEEKDAYS,
    ),
}
_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class CronFields:
    """The walls that a cron expression of five fields matches; all of them are whole minutes."""

    __slots__ = ("_days", "_times", "fixed")

    def __init__(self, expression: str) -> None:
        self._days = _read(expression)
        self._times = tuple(
            hour * 3600 + minute * 60 for hour in sorted(self._days.hours) for minute in sorted(self._days.minutes)
        )
        minute_field, hour_field = expression.split()[:2]
        self.fixed = not minute_field.startswith("*") and not hour_field.startswith("*")
        """Whether it names times of day, rather than an interval: neither minute nor hour starts with ``*``."""

    def walls(self, low: int, high: int, *, newest_first: bool = False) -> Iterator[int]:
        """The matching walls in ``[low, high)``, in order."""
        if low >= high:
            return
        times = self._times
        for day in self._matching_days(low // DAY, (high - 1) // DAY, newest_first=newest_first):
            midnight = day * DAY
            first = bisect_left(times, low - midnight)
            end = bisect_left(times, high - midnight)
            for index in range(end - 1, first - 1, -1) if newest_first else range(first, end):
                yield midnight + times[index]

    def count(self, low: int, high: int) -> int:
        """How many matching walls ``[low, high)`` has."""
        if low >= high:
            return 0
        times = self._times
        midnights = (day * DAY for day in self._matching_days(low // DAY, (high - 1) // DAY, newest_first=False))
        return sum(bisect_left(times, high - midnight) - bisect_left(times, low - midnight) for midnight in midnights)

    def _matching_days(self, first: int, last: int, *, newest_first: bool) -> Iterator[int]:
        """The matching days from ``first`` to ``last``, both included, counted from 1970-01-01."""
        months, matches = self._days.months, self._days.match_day
        step = -_ONE_DAY if newest_first else _ONE_DAY
        day = date.fromordinal((last if newest_first else first) + _EPOCH_ORDINAL)
        end = date.fromordinal((first if newest_first else last) + _EPOCH_ORDINAL)
        while day >= end if newest_first else day <= end:
            if day.month not in months:
                # To the edge of this month, so that the next step leaves it.
                day = day.replace(day=1) if newest_first else _last_of_month(day)
            elif matches(day):
                yield day.toordinal() - _EPOCH_ORDINAL
            day += step


@lru_cache(maxsize=1024)
def parse_expression(expression: str) -> CronFields:
    """Read five cron fields. Raises ``InvalidSchedule`` that names the field and what it takes."""
    return CronFields(expression)


def _last_of_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1) - _ONE_DAY


def _read(expression: str) -> CronSim:
    parts = expression.split()
    if len(parts) != len(_FIELDS):
        raise InvalidSchedule(f"cron {expression!r}: {_advice_on_length(parts)}")
    try:
        return CronSim(_RANGE_OF_ONE.sub(r"\1", expression), _ANY_MOMENT)
    except CronSimError as error:
        raise InvalidSchedule(f"cron {expression!r}: {_advice_on_field(parts, str(error))}") from error
    except (AssertionError, TypeError, ValueError) as error:  # numbers of thousands of digits, a step after '#'
        raise InvalidSchedule(f"cron {expression!r} can't be read: {error or 'a step where none can be'}") from error


def _advice_on_length(parts: list[str]) -> str:
    if len(parts) == 1 and parts[0].startswith("@"):
        if close := get_close_matches(parts[0].casefold(), _NICKNAMES, n=1):
            return f"nicknames are not read; for {close[0]} write {_NICKNAMES[close[0]]!r}"
        return "nicknames are not read; write the five fields, for example '0 0 * * *' for each midnight"
    advice = (
        f"it has {len(parts)} field{'' if len(parts) == 1 else 's'}, not 5: write minute, hour, day of month, month, "
        "day of week, for example '0 9 * * 1-5' for 9:00 on weekdays"
    )
    return f"{advice}. There is no field of seconds or years" if len(parts) > len(_FIELDS) else advice


def _advice_on_field(parts: list[str], reason: str) -> str:
    name = reason.removeprefix("Bad ")
    if name not in _FIELDS:
        return reason
    text = parts[list(_FIELDS).index(name)]
    takes, names = _FIELDS[name]
    words: list[str] = re.findall(r"[A-Z]+", text.upper())
    for word in words:
        if word not in names and (close := get_close_matches(word, names, n=1, cutoff=0.5)):
            return f"{name} {text!r}: did you mean {close[0]} for {word}? It takes {takes}"
    return f"{name} {text!r}: it takes {takes}; a range goes upwards and a step is at least 1"
