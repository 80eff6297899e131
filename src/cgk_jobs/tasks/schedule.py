"""When a schedule is due: cron expressions in a time zone, missed ticks, and spreading them over tenants.

Pure: nothing here asks the time, stores or waits. The moments it answers are aware datetimes in UTC, whole seconds.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from cgk_jobs.clock import from_micros, to_micros
from cgk_jobs.errors import InvalidSchedule
from cgk_jobs.tasks.cron_fields import CronFields, parse_expression
from cgk_jobs.tasks.zone_changes import DAY, load_zone, offset_spans

__all__ = ["Cron", "Misfire", "Tick", "missed_ticks", "spread_offset"]

Misfire = Literal["latest", "all", "skip"]
"""What becomes of ticks that were due while nothing ran: see :func:`missed_ticks`."""

_SECOND = 1_000_000
_INSTANT = timedelta(microseconds=1)
# The calendar with its weekdays repeats after 28 years, or 40 across a year such as 2100: what has no match in 60 has none.
_HORIZON_YEARS = 60
_HORIZON = _HORIZON_YEARS * 366 * DAY
# 2024-01-01. Any moment does, as long as it is always the same: whether an expression is accepted must not depend on today.
_REFERENCE = 1_704_067_200


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression of five fields, read on the clocks of a time zone. The smallest unit is the minute.

    ``expression``: minute, hour, day of month, month, day of week (0 and 7 are Sunday), with ``*``, lists, ranges,
    steps, names (``MON``, ``JAN``), and ``L`` (last day), ``LW`` (last weekday of the month), ``MON#2`` (second Monday),
    ``5L`` (last Friday). Where both day of month and day of week are given, either suffices; where one of them starts
    with ``*``, both must match. ``timezone``: an IANA name.

    The rule when clocks change is that of Debian's cron (``cron(8)``, "daylight saving time"), for a change of any size:

    - An expression whose minute or hour field starts with ``*`` is an *interval*. It runs at every real minute whose
      local time matches: both times in an hour that comes twice, not at all in one that is left out. So
      ``*/15 * * * *`` never pauses and never doubles, and ``*/15 2 * * *`` has no run on a day without a 2 o'clock.
    - Any other expression names *fixed* times, also when written as ranges (``0-59/15 0-23 * * *``). A local time that
      comes twice counts the first time only. Local times that are left out run at the first minute after the gap, and
      all those of one gap are one run, together with the one due at that minute anyway.

    Equal expressions in equal zones are equal values. Raises :class:`~cgk_jobs.errors.InvalidSchedule` for an expression
    that can't be read, one that never matches (``0 0 31 2 *``), and an unknown time zone. The methods raise
    ``ValueError`` for naive datetimes, and know the years 1900 to 9998.
    """

    expression: str
    timezone: str = "UTC"
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)
    _fields: CronFields = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # One spelling, so that equal schedules are equal values.
        object.__setattr__(self, "expression", " ".join(self.expression.split()))
        object.__setattr__(self, "_zone", load_zone(self.timezone))
        object.__setattr__(self, "_fields", parse_expression(self.expression))
        if next(self._ticks(_REFERENCE, _REFERENCE + _HORIZON), None) is None:
            raise InvalidSchedule(
                f"cron {self.expression!r} never matches in {self.timezone}: choose a day that exists "
                "(day of month and month must fit each other) and a time that the zone's clocks show on it"
            )

    def __reduce__(self) -> tuple[type[Cron], tuple[str, str]]:
        """Pickled as its text: another process reads the zone from its own database."""
        return Cron, (self.expression, self.timezone)

    def in_zone(self, timezone: str) -> Cron:
        """The same expression on the clocks of another zone, such as a tenant's own.

        Remembered, so that thousands of tenants share one value for each zone. Raises ``InvalidSchedule`` for an unknown
        zone, or one whose clocks never show the time.
        """
        return self if timezone == self.timezone else _remembered(self.expression, timezone)

    def next_after(self, moment: datetime) -> datetime:
        """The first tick after ``moment`` (never at it), in UTC. Raises ``InvalidSchedule`` if 60 years have none."""
        low = to_micros(moment) // _SECOND + 1
        for tick in self._ticks(low, low + _HORIZON):
            return from_micros(tick * _SECOND)
        raise self._nothing("after", moment)

    def previous_before(self, moment: datetime) -> datetime:
        """The last tick before ``moment`` (never at it), in UTC. Raises ``InvalidSchedule`` if 60 years have none."""
        high = -(-to_micros(moment) // _SECOND)
        for tick in self._ticks(high - _HORIZON, high, newest_first=True):
            return from_micros(tick * _SECOND)
        raise self._nothing("before", moment)

    def between(
        self, after_exclusive: datetime, until_inclusive: datetime, *, newest_first: bool = False
    ) -> Iterator[datetime]:
        """Every tick after ``after_exclusive`` up to and including ``until_inclusive``, in UTC.

        Computed as it is asked for, so a far end costs nothing; empty where the end is not after the start.
        """
        low = to_micros(after_exclusive) // _SECOND + 1
        high = to_micros(until_inclusive) // _SECOND + 1
        return (from_micros(tick * _SECOND) for tick in self._ticks(low, high, newest_first=newest_first))

    def count_between(self, after_exclusive: datetime, until_inclusive: datetime) -> int:
        """How many ticks :meth:`between` has. Takes half a millisecond for a year, however many ticks it has."""
        low = to_micros(after_exclusive) // _SECOND + 1
        high = to_micros(until_inclusive) // _SECOND + 1
        count = self._fields.count
        total = 0
        for start, offset, first, end in self._stretches(low, high):
            # What a gap left out is one run, together with the wall after it.
            at_start = count(first, start + offset + 1)
            total += count(first, end) - max(at_start - 1, 0)
        return total

    def local(self, moment: datetime) -> datetime:
        """``moment`` on the clocks of this schedule's time zone (aware)."""
        return from_micros(to_micros(moment)).astimezone(self._zone)

    def _ticks(self, low: int, high: int, *, newest_first: bool = False) -> Iterator[int]:
        """The ticks in ``[low, high)``, as seconds since 1970 UTC."""
        for start, offset, first, end in self._stretches(low, high, newest_first=newest_first):
            last: int | None = None
            for wall in self._fields.walls(first, end, newest_first=newest_first):
                tick = max(wall - offset, start)
                if tick != last:
                    last = tick
                    yield tick

    def _stretches(self, low: int, high: int, *, newest_first: bool = False) -> Iterator[tuple[int, int, int, int]]:
        """The rule: the walls ``[first, end)`` that count in each span of ``[low, high)``, with its start and offset.

        A fixed time is looked for from where the clocks had been: in a gap that is before the span's first wall, so its
        tick is the start, and in a repetition after it. An interval takes the walls of the span as they come.
        """
        for span in offset_spans(self._zone, low, high, newest_first=newest_first):
            first = span.shown if self._fields.fixed else span.start + span.offset
            if low > span.start:
                first = max(first, low + span.offset)
            yield span.start, span.offset, first, min(span.end, high) + span.offset

    def _nothing(self, side: str, moment: datetime) -> InvalidSchedule:
        return InvalidSchedule(
            f"cron {self.expression!r} has no tick in {self.timezone} in the {_HORIZON_YEARS} years {side} "
            f"{moment.isoformat()}: ask for a moment nearer to the present"
        )


@lru_cache(maxsize=4096)
def _remembered(expression: str, timezone: str) -> Cron:
    return Cron(expression, timezone)


@dataclass(frozen=True, slots=True)
class Tick:
    """One firing of a schedule for one tenant: what the handler of a ``cron`` receives.

    ``scheduled_at`` (UTC) is when it was due, not when it started, and with ``tenant_id`` and ``schedule`` identifies
    it. ``local_time`` is the same moment in ``timezone``. ``previous_at`` (UTC) is the last tick that fired before, if
    any. ``missed`` counts the ticks right before this one that were due and did not fire (:func:`missed_ticks`).
    """

    tenant_id: str
    schedule: str
    scheduled_at: datetime
    local_time: datetime
    timezone: str
    previous_at: datetime | None = None
    missed: int = 0


def missed_ticks(
    cron: Cron,
    last: datetime | None,
    now: datetime,
    misfire: Misfire = "latest",
    *,
    cap: int = 1000,
    grace_seconds: float = 60.0,
) -> list[tuple[datetime, int]]:
    """Which of the ticks due after ``last`` up to and including ``now`` are to fire, oldest first, in UTC.

    Each comes with the number of due ticks right before it that do not fire. Ticks left out are counted by the day, not
    one by one, so a long outage of a schedule that runs every minute is no work to speak of.

    - ``"latest"``: the newest, however late.
    - ``"all"``: every one, in order; of more than ``cap`` the newest ``cap``, the first of which counts those left out.
    - ``"skip"``: the newest, if it is at most ``grace_seconds`` late; nothing otherwise. Nothing that is later than that
      fires, so whoever looks less often than every ``grace_seconds`` loses ticks.

    ``last`` is the last tick dealt with, or any later moment up to which all is settled, such as the creation of the
    schedule. ``None`` means there is no past to catch up with: ticks older than ``grace_seconds`` are not due then,
    whatever the policy. A ``now`` before ``last`` (a clock that was set back) makes nothing due, so no tick fires twice.

    Raises ``ValueError`` for naive datetimes, a ``cap`` below 1, a negative grace, and an unknown policy.
    """
    if misfire not in get_args(Misfire):
        raise InvalidSchedule(f"misfire={misfire!r}: choose latest, all or skip")
    if cap < 1:
        raise ValueError(f"cap={cap}: at least 1; to fire nothing that was missed, use misfire='skip'")
    if not 0 <= grace_seconds < math.inf:
        raise ValueError(f"grace_seconds={grace_seconds}: seconds, zero or more")
    grace_start = now - timedelta(seconds=grace_seconds)
    # A tick exactly as old as the grace is still within it.
    after = grace_start - _INSTANT if last is None else last
    # From the newest backwards: an outage of a year has half a million ticks of a schedule that runs every minute.
    fired = list(islice(cron.between(after, now, newest_first=True), cap if misfire == "all" else 1))
    if not fired or (misfire == "skip" and fired[0] < grace_start):
        return []
    fired.reverse()
    left_out = cron.count_between(after, fired[0] - _INSTANT)
    return [(tick, 0 if position else left_out) for position, tick in enumerate(fired)]


def spread_offset(schedule: str, tenant_id: str, spread_seconds: float) -> float:
    """Seconds, from 0 up to but excluding ``spread_seconds``, by which this tenant's ticks of the schedule start later.

    The same for the same names in every process and release, so that a schedule of all tenants loads the system evenly
    and each tenant's runs keep their distance. Raises ``ValueError`` unless ``spread_seconds`` is zero or more.
    """
    if not 0 <= spread_seconds < math.inf:
        raise ValueError(f"spread_seconds={spread_seconds}: seconds, zero or more")
    digest = hashlib.blake2b(f"{schedule}\0{tenant_id}".encode(), digest_size=8).digest()
    # 52 bits: a float holds their quotient exactly, so it can't be rounded up to 1.
    return (int.from_bytes(digest) >> 12) / 2**52 * spread_seconds
