from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cgk_jobs.errors import InvalidSchedule
from cgk_jobs.tasks.cron_fields import CronFields
from cgk_jobs.tasks.schedule import Cron, Misfire, missed_ticks, spread_offset

HOURLY = Cron("0 * * * *")
START = datetime(2026, 1, 1, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
POLICIES: tuple[Misfire, ...] = ("latest", "all", "skip")


def hour(number: int, minutes: float = 0) -> datetime:
    return START + timedelta(hours=number, minutes=minutes)


# -- down for six hours ------------------------------------------------------------------------------------------------


def test_latest_fires_the_newest_and_counts_the_others() -> None:
    assert missed_ticks(HOURLY, START, hour(6, 5), "latest") == [(hour(6), 5)]


def test_all_fires_every_one_in_order() -> None:
    assert missed_ticks(HOURLY, START, hour(6, 5), "all") == [(hour(number), 0) for number in range(1, 7)]


def test_all_keeps_the_newest_up_to_the_cap_and_counts_what_it_left_out() -> None:
    fired = missed_ticks(HOURLY, START, hour(6, 5), "all", cap=4)
    assert fired == [(hour(3), 2), (hour(4), 0), (hour(5), 0), (hour(6), 0)]
    assert len(missed_ticks(HOURLY, START, hour(6, 5), "all", cap=6)) == 6


def test_skip_fires_nothing() -> None:
    assert missed_ticks(HOURLY, START, hour(6, 5), "skip") == []


def test_after_skip_the_next_tick_says_how_many_were_skipped() -> None:
    assert missed_ticks(HOURLY, START, hour(7), "skip") == [(hour(7), 6)]


# -- on time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("misfire", POLICIES)
def test_a_tick_is_due_at_its_moment_and_not_before(misfire: Misfire) -> None:
    assert missed_ticks(HOURLY, hour(3), hour(4) - INSTANT, misfire) == []
    assert missed_ticks(HOURLY, hour(3), hour(4), misfire) == [(hour(4), 0)]
    assert missed_ticks(HOURLY, hour(4), hour(4), misfire) == []


def test_skip_fires_what_is_as_late_as_the_grace() -> None:
    late = hour(4) + timedelta(seconds=90)
    assert missed_ticks(HOURLY, hour(3), late, "skip", grace_seconds=90) == [(hour(4), 0)]
    assert missed_ticks(HOURLY, hour(3), late + INSTANT, "skip", grace_seconds=90) == []
    assert missed_ticks(HOURLY, hour(3), hour(4), "skip", grace_seconds=0) == [(hour(4), 0)]


@pytest.mark.parametrize("misfire", POLICIES)
def test_without_a_past_only_the_grace_counts(misfire: Misfire) -> None:
    assert missed_ticks(HOURLY, None, hour(4, 5), misfire) == []
    assert missed_ticks(HOURLY, None, hour(4, 1), misfire) == [(hour(4), 0)]
    assert missed_ticks(HOURLY, None, hour(4, 1) + INSTANT, misfire) == []
    assert missed_ticks(HOURLY, None, hour(4, 5), misfire, grace_seconds=300) == [(hour(4), 0)]


# -- clocks that step back ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("misfire", POLICIES)
def test_a_clock_set_back_two_hours_fires_nothing_twice(misfire: Misfire) -> None:
    last, fired = hour(11), []
    minutes = [*range(11 * 60 + 1, 13 * 60), *range(11 * 60, 14 * 60)]
    for minute in minutes:
        for tick, missed in missed_ticks(HOURLY, last, START + timedelta(minutes=minute), misfire):
            assert missed == 0
            fired.append(tick)
            last = tick
    assert fired == [hour(12), hour(13)]


@pytest.mark.parametrize("misfire", POLICIES)
def test_a_repeated_hour_is_counted_once(misfire: Misfire) -> None:
    fixed = Cron("30 1 * * *", "America/New_York")
    first = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert missed_ticks(fixed, first, first + timedelta(hours=1), misfire) == []


# -- long outages ------------------------------------------------------------------------------------------------------


def test_a_long_outage_is_counted_and_not_walked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    every_minute = Cron("* * * * *", "America/New_York")
    walls = CronFields.walls
    walked = 0

    def counted(fields: CronFields, low: int, high: int, *, newest_first: bool = False) -> Iterator[int]:
        nonlocal walked
        for wall in walls(fields, low, high, newest_first=newest_first):
            walked += 1
            yield wall

    monkeypatch.setattr(CronFields, "walls", counted)
    years = timedelta(days=3 * 365)
    now = START + years
    minutes = years // timedelta(minutes=1)
    assert missed_ticks(every_minute, START, now, "latest") == [(now, minutes - 1)]
    assert missed_ticks(every_minute, START, now + timedelta(seconds=61), "skip", grace_seconds=0.5) == []
    assert walked == 2
    fired = missed_ticks(every_minute, START, now, "all")
    assert [tick for tick, _ in fired] == [now - timedelta(minutes=ago) for ago in range(999, -1, -1)]
    assert [missed for _, missed in fired] == [minutes - 1000] + [0] * 999
    assert walked == 1002


def test_left_out_local_times_count_as_the_one_run_they_are() -> None:
    # 2:00, 2:15 and so on are left out on 8 March: one run at 3:00, together with the one due then.
    fixed = Cron("0-45/15 0-23 * * *", "America/New_York")
    before, after = datetime(2026, 3, 8, 6, 45, tzinfo=UTC), datetime(2026, 3, 8, 7, 30, tzinfo=UTC)
    assert missed_ticks(fixed, before, after, "latest") == [(after, 2)]
    assert missed_ticks(fixed, before, datetime(2026, 3, 8, 7, tzinfo=UTC), "latest") == [
        (datetime(2026, 3, 8, 7, tzinfo=UTC), 0)
    ]


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_bad_arguments() -> None:
    with pytest.raises(InvalidSchedule, match="choose latest, all or skip"):
        missed_ticks(HOURLY, START, START, "newest")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1"):
        missed_ticks(HOURLY, START, START, cap=0)
    for grace in (-1, math.inf, math.nan):
        with pytest.raises(ValueError, match="zero or more"):
            missed_ticks(HOURLY, START, START, grace_seconds=grace)
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    with pytest.raises(ValueError, match="naive"):
        missed_ticks(HOURLY, naive, START)
    with pytest.raises(ValueError, match="naive"):
        missed_ticks(HOURLY, START, naive)
    with pytest.raises(ValueError, match="naive"):
        missed_ticks(HOURLY, None, naive)


# -- spread ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "tenant_id", "offset"),
    [
        ("nightly-report", "rawdog", 348.9798937744245),
        ("nightly-report", "acme", 542.1743063695986),
        ("other", "acme", 473.718386971774),
    ],
)
def test_a_tenants_offset_is_the_same_in_every_release(schedule: str, tenant_id: str, offset: float) -> None:
    assert spread_offset(schedule, tenant_id, 600) == pytest.approx(offset, abs=1e-9)


def test_the_names_do_not_run_into_each_other() -> None:
    assert spread_offset("ab", "c", 600) != spread_offset("a", "bc", 600)


def test_tenants_are_laid_out_evenly() -> None:
    offsets = [spread_offset("nightly-report", f"tenant-{number}", 600) for number in range(6000)]
    assert min(offsets) >= 0
    assert max(offsets) < 600
    per_minute = [sum(minute * 60 <= offset < minute * 60 + 60 for offset in offsets) for minute in range(10)]
    # 600 each, give or take five standard deviations.
    assert all(480 < count < 720 for count in per_minute)


def test_no_spread_is_no_offset() -> None:
    assert spread_offset("nightly-report", "acme", 0) == 0


@pytest.mark.parametrize("seconds", [-1, math.inf, math.nan])
def test_a_bad_spread(seconds: float) -> None:
    with pytest.raises(ValueError, match="zero or more"):
        spread_offset("nightly-report", "acme", seconds)
