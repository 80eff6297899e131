"""A sample of what ``python -m tests.full.daylight_saving`` compares in full, and changes that no zone has had yet."""

from __future__ import annotations

import io
import random
import struct
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.full.daylight_saving import FIRST_YEAR, LAST_YEAR, SCHEDULES, Change, Counts, Watch, changes, check_schedule

from cgk_jobs.tasks import schedule
from cgk_jobs.tasks.schedule import Cron

HOUR = 3600

UNUSUAL = (
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/El_Aaiun",
    "Africa/Juba",
    "America/Asuncion",
    "America/Havana",
    "America/New_York",
    "America/Nuuk",
    "America/Santiago",
    "America/Scoresbysund",
    "Antarctica/Troll",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/Dublin",
    "Pacific/Apia",
    "Pacific/Chatham",
)


@pytest.mark.parametrize("name", UNUSUAL)
def test_changes_of_real_zones(name: str) -> None:
    sample = random.Random(name)
    zone = ZoneInfo(name)
    found = list(changes(zone, FIRST_YEAR, LAST_YEAR))
    counts = Counts()
    for change in sample.sample(found, min(2, len(found))):
        watch = Watch(zone, change)
        for expression in sample.sample(SCHEDULES, 16):
            check_schedule(Cron(expression, name), watch, counts)
    assert counts.differences == []
    assert counts.cases >= 16


def test_the_day_that_apia_left_out() -> None:
    zone = ZoneInfo("Pacific/Apia")
    (change,) = (change for change in changes(zone, 2011, 2011) if change.by > timedelta(hours=2))
    assert change == Change(datetime(2011, 12, 30, 10, tzinfo=UTC), timedelta(hours=24))
    watch, counts = Watch(zone, change), Counts()
    for expression in SCHEDULES:
        check_schedule(Cron(expression, "Pacific/Apia"), watch, counts)
    assert counts.differences == []


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([("2026-12-31T23:30", -HOUR)], id="back, into the new year"),
        pytest.param([("2026-12-31T23:30", HOUR)], id="forward, shortly before the new year"),
        pytest.param([("2027-01-01T00:00", -HOUR)], id="back, at the new year"),
        pytest.param([("2027-01-01T00:00", HOUR)], id="forward, at the new year"),
        pytest.param([("2026-12-31T10:00", -24 * HOUR)], id="a day twice, into the new year"),
        pytest.param([("2026-12-30T10:00", -24 * HOUR)], id="a day twice, up to new year's eve"),
        pytest.param([("2026-06-10T10:00", 21 * HOUR)], id="most of a day left out"),
        pytest.param([("2026-06-10T00:20", -20 * 60)], id="a third of an hour twice"),
        pytest.param([("2026-06-10T01:40", 20 * 60)], id="a third of an hour left out"),
        pytest.param([("2026-06-10T00:00", -2 * HOUR), ("2026-06-11T00:10", HOUR)], id="back, and forward next day"),
        pytest.param([("2026-06-10T00:00", 2 * HOUR), ("2026-06-11T00:10", -HOUR)], id="forward, and back next day"),
        pytest.param(
            [("2026-06-10T01:00", -20 * HOUR), ("2026-06-11T01:30", HOUR)], id="forward soon after a day twice"
        ),
    ],
)
def test_changes_of_invented_zones(steps: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    zone = invented_zone(steps)
    monkeypatch.setattr(schedule, "load_zone", lambda _: zone)
    counts = Counts()
    for moment, by in steps:
        watch = Watch(zone, Change(datetime.fromisoformat(moment).replace(tzinfo=UTC), timedelta(seconds=by)))
        for expression in SCHEDULES[::2]:
            check_schedule(Cron(expression, "Test/Invented"), watch, counts)
    assert counts.differences == []


def invented_zone(steps: list[tuple[str, int]], offset: int = 2 * HOUR) -> ZoneInfo:
    """A zone whose clocks are moved by some seconds at some moments (TZif version 1, RFC 9636)."""
    moments, offsets = [], [offset]
    for moment, by in steps:
        moments.append(int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()))
        offsets.append(offsets[-1] + by)
    file = io.BytesIO()
    file.write(struct.pack(">4s16x6L", b"TZif", 0, 0, 0, len(moments), len(offsets), 4))
    file.write(struct.pack(f">{len(moments)}l{len(moments)}B", *moments, *range(1, len(offsets))))
    for seconds in offsets:
        file.write(struct.pack(">lBB", seconds, 0, 0))
    file.write(b"INV\0")
    file.seek(0)
    return ZoneInfo.from_file(file, "Test/Invented")
