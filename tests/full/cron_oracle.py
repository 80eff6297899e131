"""What the written rule of schedules says, worked out minute by minute.

It shares no code with the package nor with cronsim: the fields are read anew, and the clock is watched as a daemon that
wakes every minute would watch it. The rule, as ``Cron`` states it:

- An interval (minute or hour field starts with ``*``) runs at every minute whose local time matches.
- Fixed times run in the minute that first shows a local time at or past them. So a time that comes twice runs once, and
  all times that a change leaves out run in the first minute after it, as one run.

Minutes are counted from 1970-01-01 00:00, those of UTC and those on local clocks alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

MINUTES_A_DAY = 1440

_EPOCH = date(1970, 1, 1)
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


@dataclass(frozen=True)
class Expression:
    """Five cron fields as text, with the answers the rule needs."""

    text: str

    @property
    def interval(self) -> bool:
        minute, hour, *_ = self.text.split()
        return minute[0] == "*" or hour[0] == "*"

    def matches(self, local_minute: int) -> bool:
        day, minute = divmod(local_minute, MINUTES_A_DAY)
        return minute in _minutes_of(self.text, day)

    def ticks(self, clock: Sequence[int]) -> list[int]:
        """The positions in ``clock`` at which it runs. ``clock`` is the local minute shown in each minute of UTC.

        The first position only tells where the clock stood before.
        """
        days = range(min(clock) // MINUTES_A_DAY, max(clock) // MINUTES_A_DAY + 1)
        matching = {day * MINUTES_A_DAY + minute for day in days for minute in _minutes_of(self.text, day)}
        if self.interval:
            return [at for at, shown in enumerate(clock) if at and shown in matching]
        found: list[int] = []
        latest = clock[0]
        for at, shown in enumerate(clock):
            if shown > latest:
                if not matching.isdisjoint(range(latest + 1, shown + 1)):
                    found.append(at)
                latest = shown
        return found


@lru_cache(maxsize=8192)
def _minutes_of(text: str, day: int) -> frozenset[int]:
    """The minutes of a day (counted from 1970) that match."""
    minute, hour, day_of_month, month, day_of_week = text.upper().split()
    today = _EPOCH + timedelta(days=day)
    if today.month not in _numbers(month, 1, 12, _MONTHS):
        return frozenset()
    by_month, by_week = _in_month(day_of_month, today), _in_week(day_of_week, today)
    both = day_of_month[0] == "*" or day_of_week[0] == "*"
    if not (by_month and by_week if both else by_month or by_week):
        return frozenset()
    return frozenset(h * 60 + m for h in _numbers(hour, 0, 23) for m in _numbers(minute, 0, 59))


def _in_month(field: str, today: date) -> bool:
    next_month = (today.replace(day=1) + timedelta(days=31)).replace(day=1)
    last = next_month - timedelta(days=1)
    last_weekday = last
    while last_weekday.isoweekday() > 5:
        last_weekday -= timedelta(days=1)
    for term in field.split(","):
        if term == "L":
            if today == last:
                return True
        elif term == "LW":
            if today == last_weekday:
                return True
        elif today.day in _numbers(term, 1, 31):
            return True
    return False


def _in_week(field: str, today: date) -> bool:
    weekday = today.isoweekday() % 7
    for term in field.split(","):
        if "#" in term:
            name, _, which = term.partition("#")
            days = _numbers(name, 0, 7, _WEEKDAYS)
            fits = (today.day - 1) // 7 + 1 == int(which)
        elif term.endswith("L"):
            days = _numbers(term[:-1], 0, 7)
            fits = (today + timedelta(days=7)).month != today.month
        else:
            days = _numbers(term, 0, 7, _WEEKDAYS)
            fits = True
        if fits and weekday in {number % 7 for number in days}:
            return True
    return False


def _numbers(field: str, low: int, high: int, names: Sequence[str] = ()) -> set[int]:
    found: set[int] = set()
    for term in field.split(","):
        span, _, step = term.partition("/")
        if span == "*":
            first, last = low, high
        elif "-" in span:
            first, last = (_number(end, low, names) for end in span.split("-"))
        else:
            first = _number(span, low, names)
            last = high if step else first
        found.update(range(first, last + 1, int(step or 1)))
    return found


def _number(text: str, low: int, names: Sequence[str]) -> int:
    return names.index(text) + low if text in names else int(text)
