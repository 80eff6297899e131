"""Every time zone, every change of its clocks from 2020 to 2035, 40 schedules: ``Cron`` against the written rule.

    python -m tests.full.daylight_saving                        all of it, some minutes; exit code 1 on any difference
    python -m tests.full.daylight_saving --zone Asia/Gaza       one zone
    python -m tests.full.daylight_saving --years 1973 2037      other years

The rule is worked out minute by minute by :mod:`tests.full.cron_oracle`. Offsets are those of ``zoneinfo``, read from the
package ``tzdata``, and are compared with python-dateutil's reading of the same files.
"""

from __future__ import annotations

import argparse
import sys
import zoneinfo
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from importlib import metadata, resources
from itertools import islice, pairwise
from time import perf_counter
from typing import NamedTuple

from dateutil.tz import tzfile
from tests.full.cron_oracle import Expression

from cgk_jobs.tasks.schedule import Cron

FIRST_YEAR, LAST_YEAR = 2020, 2035

SCHEDULES = (
    # intervals: minute or hour starts with a star
    "* * * * *",
    "*/15 * * * *",
    "*/7 * * * *",
    "7 * * * *",
    "0 * * * *",
    "30 */2 * * *",
    "0 */3 * * *",
    "45 */5 * * *",
    "*/10 0 * * *",
    "*/15 1 * * *",
    "*/15 2 * * *",
    "* 3 * * *",
    "*/20 22-23,0-4 * * *",
    "* * * * SUN",
    "*,5 2 * * *",
    # fixed times, one a day
    "0 0 * * *",
    "1 0 * * *",
    "30 0 * * *",
    "59 0 * * *",
    "0 1 * * *",
    "30 1 * * *",
    "59 1 * * *",
    "0 2 * * *",
    "15 2 * * *",
    "45 2 * * *",
    "0 3 * * *",
    "30 3 * * *",
    "30 23 * * *",
    "59 23 * * *",
    # fixed times, many a day
    "0-59 0-23 * * *",
    "0,30 0-4,22-23 * * *",
    "10/20 0-5 * * *",
    "0 0/2 * * *",
    # days
    "30 2 * * SUN",
    "0 0 L * *",
    "30 1 LW * *",
    "15 2 * MAR-MAY SUN#2,0L",
    "0 1 */2 * 1-5",
    "5 0 1-7,24-31 3,4,9-11 FRI,6",
    "0 2 25-31 MAR,OCT 7",
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
# Moments around a change from which the next and the last tick are asked.
_AROUND = (
    -25 * _HOUR,
    -1 * _HOUR,
    -31 * _MINUTE,
    timedelta(microseconds=-1),
    timedelta(0),
    timedelta(seconds=1),
    29 * _MINUTE + timedelta(seconds=59, microseconds=999_999),
    30 * _MINUTE,
    61 * _MINUTE,
    2 * _HOUR,
    25 * _HOUR,
)


class Change(NamedTuple):
    """A change of a zone's clocks: the first moment of the new offset, and by how much they went forward (or back)."""

    at: datetime
    by: timedelta


@dataclass
class Counts:
    """What was compared."""

    zones: int = 0
    gaps: int = 0
    overlaps: int = 0
    cases: int = 0
    ticks: int = 0
    answers: int = 0
    offsets: int = 0
    differences: list[str] = field(default_factory=list)

    def add(self, other: Counts) -> None:
        self.zones += other.zones
        self.gaps += other.gaps
        self.overlaps += other.overlaps
        self.cases += other.cases
        self.ticks += other.ticks
        self.answers += other.answers
        self.offsets += other.offsets
        self.differences += other.differences


def changes(zone: tzinfo, first_year: int, last_year: int) -> Iterator[Change]:
    """The changes of offset in some years of UTC, in order."""
    moment, end = datetime(first_year, 1, 1, tzinfo=UTC), datetime(last_year + 1, 1, 1, tzinfo=UTC)
    old = _offset(zone, moment)
    while moment < end:
        later = moment + 6 * _HOUR
        new = _offset(zone, later)
        while moment < later and new != old:
            moment += _MINUTE
            offset = _offset(zone, moment)
            if offset != old:
                yield Change(moment, offset - old)
                old = offset
        moment = later


class Watch:
    """The local minutes that a zone's clocks show around a change, from a day before it to a day after."""

    def __init__(self, zone: tzinfo, change: Change) -> None:
        self.change = change
        self.start, self.end = change.at - 26 * _HOUR, change.at + 28 * _HOUR
        # Watched for a day more, so that the oracle knows what the clocks had shown.
        self._first = self.start - _DAY
        minutes = (self.end - self._first) // _MINUTE
        self._clock = [_local_minute(zone, self._first + minute * _MINUTE) for minute in range(minutes + 1)]

    def ticks(self, expression: str) -> list[datetime]:
        """The ticks after ``start``, up to and including ``end``, by the rule."""
        due = [self._first + at * _MINUTE for at in Expression(expression).ticks(self._clock)]
        return due[bisect_right(due, self.start) :]


def check_schedule(cron: Cron, watch: Watch, counts: Counts) -> None:
    """Compare a schedule's answers around a change with those of the rule."""
    start, end, change = watch.start, watch.end, watch.change
    expected = watch.ticks(cron.expression)
    counts.cases += 1
    counts.ticks += len(expected)

    def compare(question: str, answer: object, right: object) -> None:
        counts.answers += 1
        if answer != right:
            counts.differences.append(f"{cron} at {change.at} ({change.by}), {question}: {answer}, by the rule {right}")

    compare("between", list(cron.between(start, end)), expected)
    compare("between, newest first", list(cron.between(start, end, newest_first=True)), expected[::-1])
    compare("count_between", cron.count_between(start, end), len(expected))
    for around in _AROUND:
        moment = change.at + around
        earlier, later = bisect_left(expected, moment), bisect_right(expected, moment)
        compare(f"between from {around}", list(islice(cron.between(moment, end), 20)), expected[later : later + 20])
        compare(f"count_between to {around}", cron.count_between(start, moment), later)
        # Beyond the watched time the rule was not worked out; the answer must then lie there as well.
        following = cron.next_after(moment)
        compare(f"next_after {around}", following if following <= end else None, [*expected, None][later])
        last = cron.previous_before(moment)
        compare(f"previous_before {around}", last if last > start else None, [None, *expected][earlier])


def check_zone(name: str, first_year: int = FIRST_YEAR, last_year: int = LAST_YEAR) -> Counts:
    """Compare every schedule around every change of a zone, and a quiet New Year; and its offsets between two readers."""
    zone = zoneinfo.ZoneInfo(name)
    counts = Counts(zones=1)
    found = list(changes(zone, first_year, last_year))
    counts.gaps = sum(change.by > timedelta(0) for change in found)
    counts.overlaps = len(found) - counts.gaps
    for one, other in pairwise(found):
        if other.at - one.at < 2 * _DAY:
            counts.differences.append(f"{name} changes twice within two days: {one.at}, {other.at}")
    quiet = Change(datetime(first_year + 4, 1, 1, tzinfo=UTC), timedelta(0))
    for change in (*found, quiet):
        watch = Watch(zone, change)
        for expression in SCHEDULES:
            check_schedule(Cron(expression, name), watch, counts)
    _check_offsets(name, zone, found, (first_year, last_year), counts)
    return counts


def _check_offsets(name: str, zone: tzinfo, found: list[Change], years: tuple[int, int], counts: Counts) -> None:
    with resources.files("tzdata.zoneinfo").joinpath(*name.split("/")).open("rb") as file:
        other = tzfile(file)
    first, last = datetime(years[0], 1, 1, tzinfo=UTC), datetime(years[1], 12, 31, tzinfo=UTC)
    moments = [first + day * _DAY for day in range((last - first).days)]
    moments += [change.at + minute * _MINUTE for change in found for minute in range(-90, 91)]
    counts.offsets += len(moments)
    counts.differences += [
        f"offset of {name} at {moment}: zoneinfo {_offset(zone, moment)}, dateutil {_offset(other, moment)}"
        for moment in moments
        if _offset(zone, moment) != _offset(other, moment)
    ]


def _offset(zone: tzinfo, moment: datetime) -> timedelta:
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _local_minute(zone: tzinfo, moment: datetime) -> int:
    return (moment - _EPOCH + _offset(zone, moment)) // _MINUTE


def _read_zones_from_package() -> None:
    # Not from the machine's files, whose age and format differ.
    zoneinfo.reset_tzpath(to=())
    zoneinfo.ZoneInfo.clear_cache()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Compare Cron with the written rule in every time zone.")
    parser.add_argument("--zone", action="append", help="only this zone (may be repeated)")
    parser.add_argument("--years", type=int, nargs=2, default=(FIRST_YEAR, LAST_YEAR), metavar=("FIRST", "LAST"))
    parser.add_argument("--processes", type=int, help="default: one for each CPU")
    options = parser.parse_args(arguments)
    began = perf_counter()
    _read_zones_from_package()
    zones = options.zone or sorted(zoneinfo.available_timezones())
    total = Counts()
    with ProcessPoolExecutor(options.processes, initializer=_read_zones_from_package) as pool:
        jobs = [pool.submit(check_zone, name, *options.years) for name in zones]
        for done, job in enumerate(jobs, 1):
            total.add(job.result())
            if done % 50 == 0:
                print(
                    f"{done} of {len(zones)} zones, {len(total.differences)} differences", file=sys.stderr, flush=True
                )
    for difference in total.differences[:20]:
        print(difference)
    print(
        f"tzdata {metadata.version('tzdata')}, cronsim {metadata.version('cronsim')}, Python {sys.version.split()[0]}, "
        f"years {options.years[0]} to {options.years[1]}\n"
        f"{total.zones} zones, {total.gaps} gaps, {total.overlaps} overlaps, {len(SCHEDULES)} schedules\n"
        f"{total.cases:,} cases, {total.ticks:,} ticks, {total.answers:,} answers compared with the rule\n"
        f"{total.offsets:,} offsets compared between zoneinfo and dateutil\n"
        f"{len(total.differences)} differences, {perf_counter() - began:.0f} s"
    )
    return 1 if total.differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
