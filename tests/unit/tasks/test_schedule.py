from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from cgk_jobs.errors import InvalidSchedule, InvalidTask
from cgk_jobs.tasks.schedule import Cron


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def ticks(expression: str, timezone: str, after: datetime, until: datetime) -> list[str]:
    cron = Cron(expression, timezone)
    return [cron.local(tick).strftime("%d %H:%M %z") for tick in cron.between(after, until)]


# -- plain days --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "following"),
    [
        ("* * * * *", utc(2026, 11, 24, 12, 4)),
        ("15 * * * *", utc(2026, 11, 24, 12, 15)),
        ("*/20 * * * *", utc(2026, 11, 24, 12, 20)),
        ("10/20 * * * *", utc(2026, 11, 24, 12, 10)),
        ("3-3/10 * * * *", utc(2026, 11, 24, 13, 3)),
        ("20,3-3/10 * * * *", utc(2026, 11, 24, 12, 20)),
        ("0 0 * * Sun-Sun/2", utc(2026, 11, 29)),
        ("0 9 * * *", utc(2026, 11, 25, 9)),
        ("0 9 * * 1-5", utc(2026, 11, 25, 9)),
        ("0 9 * * 0", utc(2026, 11, 29, 9)),
        ("0 9 * * 7", utc(2026, 11, 29, 9)),
        ("0 9 * * sun", utc(2026, 11, 29, 9)),
        ("0 0 1 * *", utc(2026, 12, 1)),
        ("0 0 L * *", utc(2026, 11, 30)),
        ("0 0 LW * *", utc(2026, 11, 30)),
        ("0 0 LW 1 *", utc(2027, 1, 29)),
        ("0 0 * * MON#2", utc(2026, 12, 14)),
        ("0 0 * * 5L", utc(2026, 11, 27)),
        ("0 0 1 * MON", utc(2026, 11, 30)),  # either
        ("0 0 */2 * MON", utc(2026, 12, 7)),  # both
        ("0 0 1 1 *", utc(2027, 1, 1)),
        ("0 0 29 2 *", utc(2028, 2, 29)),
        ("0 0 29,30 2 *", utc(2028, 2, 29)),
        ("0 0 31 * *", utc(2026, 12, 31)),
    ],
)
def test_the_next_tick(expression: str, following: datetime) -> None:
    assert Cron(expression).next_after(utc(2026, 11, 24, 12, 3) + timedelta(seconds=7)) == following


def test_the_next_tick_is_never_the_moment_itself() -> None:
    cron, noon = Cron("0 12 * * *"), utc(2026, 11, 24, 12)
    instant = timedelta(microseconds=1)
    assert cron.next_after(noon) == noon + timedelta(days=1)
    assert cron.next_after(noon - instant) == noon
    assert cron.previous_before(noon) == noon - timedelta(days=1)
    assert cron.previous_before(noon + instant) == noon


def test_between_leaves_out_its_start_and_takes_its_end() -> None:
    cron = Cron("0 * * * *")
    found = list(cron.between(utc(2026, 1, 1, 3), utc(2026, 1, 1, 6)))
    assert found == [utc(2026, 1, 1, 4), utc(2026, 1, 1, 5), utc(2026, 1, 1, 6)]
    assert list(cron.between(utc(2026, 1, 1, 3), utc(2026, 1, 1, 6), newest_first=True)) == found[::-1]
    assert cron.count_between(utc(2026, 1, 1, 3), utc(2026, 1, 1, 6)) == 3
    assert list(cron.between(utc(2026, 1, 1, 6), utc(2026, 1, 1, 6))) == []
    assert list(cron.between(utc(2026, 1, 1, 6), utc(2026, 1, 1, 3))) == []
    assert cron.count_between(utc(2026, 1, 1, 6), utc(2026, 1, 1, 3)) == 0


def test_answers_are_utc_whatever_zone_the_question_is_in() -> None:
    cron = Cron("0 9 * * *", "Asia/Tokyo")
    tick = cron.next_after(cron.local(utc(2026, 6, 1)))
    assert tick == utc(2026, 6, 2)
    assert tick.tzinfo is UTC
    assert cron.local(tick).isoformat() == "2026-06-02T09:00:00+09:00"


def test_a_far_end_is_no_work() -> None:
    forever = Cron("0 0 1 1 *").between(utc(2026, 1, 1), datetime.max.replace(tzinfo=UTC))
    assert list(islice(forever, 2)) == [utc(2027, 1, 1), utc(2028, 1, 1)]


def test_ends_of_the_calendar() -> None:
    cron = Cron("0 0 1 1 *")
    assert cron.next_after(utc(1850, 1, 1)) == utc(1900, 1, 1)
    assert cron.previous_before(datetime.max.replace(tzinfo=UTC)) == utc(9998, 1, 1)
    with pytest.raises(InvalidSchedule, match="no tick in UTC in the 60 years before"):
        cron.previous_before(utc(1850, 1, 1))
    with pytest.raises(InvalidSchedule, match="no tick in UTC in the 60 years after"):
        cron.next_after(utc(9999, 6, 1))


def test_naive_moments_are_refused() -> None:
    cron, naive, aware = Cron("* * * * *"), datetime(2026, 1, 1), utc(2026, 1, 1)  # noqa: DTZ001
    for ask in (
        lambda: cron.next_after(naive),
        lambda: cron.previous_before(naive),
        lambda: cron.between(naive, aware),
        lambda: cron.between(aware, naive),
        lambda: cron.count_between(naive, aware),
        lambda: cron.local(naive),
    ):
        with pytest.raises(ValueError, match="naive"):
            ask()


# -- days on which clocks change ---------------------------------------------------------------------------------------


def test_a_fixed_time_in_a_gap_runs_once_right_after_it() -> None:
    # New York, 8 March 2026: 2:00 to 3:00 is left out.
    after, until = utc(2026, 3, 7, 12), utc(2026, 3, 9, 12)
    assert ticks("30 2 * * *", "America/New_York", after, until) == ["08 03:00 -0400", "09 02:30 -0400"]
    assert ticks("0,15,30 2,3 8 3 *", "America/New_York", after, until) == [
        "08 03:00 -0400",
        "08 03:15 -0400",
        "08 03:30 -0400",
    ]


def test_a_fixed_time_that_comes_twice_runs_the_first_time() -> None:
    # New York, 1 November 2026: 1:00 to 2:00 comes twice.
    after, until = utc(2026, 10, 31, 12), utc(2026, 11, 2, 12)
    assert ticks("30 1 * * *", "America/New_York", after, until) == ["01 01:30 -0400", "02 01:30 -0500"]
    # Also when asked from within the second time.
    assert Cron("30 1 * * *", "America/New_York").next_after(utc(2026, 11, 1, 6, 10)) == utc(2026, 11, 2, 6, 30)
    assert Cron("30 1 * * *", "America/New_York").previous_before(utc(2026, 11, 1, 6, 40)) == utc(2026, 11, 1, 5, 30)


def test_an_interval_follows_real_time() -> None:
    gap = ticks("*/30 1-3 * * *", "America/New_York", utc(2026, 3, 8, 5), utc(2026, 3, 8, 9))
    assert gap == ["08 01:00 -0500", "08 01:30 -0500", "08 03:00 -0400", "08 03:30 -0400"]
    assert ticks("*/30 2 * * *", "America/New_York", utc(2026, 3, 8, 5), utc(2026, 3, 8, 12)) == []
    twice = ticks("0 * * * *", "America/New_York", utc(2026, 11, 1, 4), utc(2026, 11, 1, 7))
    assert twice == ["01 01:00 -0400", "01 01:00 -0500", "01 02:00 -0500"]


def test_a_star_anywhere_in_a_list_is_no_interval() -> None:
    after, until = utc(2026, 11, 1, 4), utc(2026, 11, 1, 7)
    assert len(ticks("*,5 1 * * *", "America/New_York", after, until)) == 120
    assert len(ticks("5,* 1 * * *", "America/New_York", after, until)) == 60


def test_half_an_hour_in_lord_howe() -> None:
    # 4 October 2026: 2:00 to 2:30 is left out. 5 April 2026: 1:30 to 2:00 comes twice.
    assert ticks("15 2 4 10 *", "Australia/Lord_Howe", utc(2026, 10, 2), utc(2026, 10, 5)) == ["04 02:30 +1100"]
    assert ticks("45 1 5 4 *", "Australia/Lord_Howe", utc(2026, 4, 3), utc(2026, 4, 6)) == ["05 01:45 +1100"]
    assert ticks("*/15 1 5 4 *", "Australia/Lord_Howe", utc(2026, 4, 3), utc(2026, 4, 6)) == [
        "05 01:00 +1100",
        "05 01:15 +1100",
        "05 01:30 +1100",
        "05 01:45 +1100",
        "05 01:30 +1030",
        "05 01:45 +1030",
    ]


def test_a_day_that_never_was_in_apia() -> None:
    # Samoa went from 29 to 31 December 2011.
    assert ticks("0 9,15 * * *", "Pacific/Apia", utc(2011, 12, 29, 12), utc(2011, 12, 31, 10)) == [
        "29 09:00 -1000",
        "29 15:00 -1000",
        "31 00:00 +1400",
        "31 09:00 +1400",
        "31 15:00 +1400",
    ]


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("* * *", "3 fields, not 5"),
        ("", "0 fields, not 5"),
        ("*", "1 field, not 5"),
        ("0 * * * * *", "no field of seconds"),
        ("@dayly", "for @daily write '0 0 \\* \\* \\*'"),
        ("@reboot2", "nicknames are not read; write the five fields"),
        ("61 * * * *", "minute '61': it takes 0-59"),
        ("0 24 * * *", "hour '24': it takes 0-23"),
        ("0 0 0 * *", "day-of-month '0'"),
        ("0 0 * 13 *", "month '13'"),
        ("0 0 * JUNE *", "did you mean JUN for JUNE"),
        ("0 0 * * mom", "did you mean MON for MOM"),
        ("0 0 * * 8", "day-of-week '8'"),
        ("0 0 * * FRI-MON", "a range goes upwards"),
        ("*/0 * * * *", "a step is at least 1"),
        ("5-5/0 * * * *", "a step is at least 1"),
        ("1-5-5/2 * * * *", "minute '1-5-5/2'"),
        ("0 0 * * 1#6", "day-of-week '1#6'"),
        ("0 0 * * 1#2/3", "day-of-week|can't be read"),
        ("9" * 5000 + " * * * *", "can't be read"),
        ("0 0 31 2 *", "within its months"),
        ("0 0 */31 2 MON#5", "never matches in UTC: choose a day that exists"),
    ],
)
def test_expressions_that_are_refused(expression: str, message: str) -> None:
    with pytest.raises(InvalidSchedule, match=message):
        Cron(expression)


def test_a_time_that_the_clocks_never_show_is_refused() -> None:
    with pytest.raises(InvalidSchedule, match="never matches in America/New_York"):
        Cron("* 2 * 3 SUN#2", "America/New_York")
    assert Cron("* 2 * 3 SUN#2", "Europe/Berlin")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("America/NewYork", "did you mean 'America/New_York'"),
        ("america/new york", "did you mean 'America/New_York'?"),
        ("Berlin", "did you mean 'Europe/Berlin'"),
        ("utc", "did you mean 'UTC'"),
        ("Mars/Olympus", "use an IANA name such as"),
        ("", "use an IANA name such as"),
        ("../etc/passwd", "use an IANA name such as"),
        ("America", "unknown"),
        ("localtime", "unknown"),  # another file on every machine
        ("right/Europe/Berlin", "unknown"),  # counts leap seconds
    ],
)
def test_time_zones_that_are_refused(name: str, hint: str) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        Cron("* * * * *", name)
    assert repr(name) in str(caught.value)
    assert hint in str(caught.value)


def test_a_bad_schedule_is_a_bad_task_and_a_bad_value() -> None:
    assert issubclass(InvalidSchedule, InvalidTask)
    assert issubclass(InvalidSchedule, ValueError)


# -- as a value --------------------------------------------------------------------------------------------------------


def test_equal_schedules_are_equal_values() -> None:
    cron = Cron(" 0   9 * * 1-5 ", "Europe/Berlin")
    assert cron == Cron("0 9 * * 1-5", "Europe/Berlin")
    assert len({cron, Cron("0 9 * * 1-5", "Europe/Berlin"), Cron("0 9 * * 1-5")}) == 2
    assert repr(cron) == "Cron(expression='0 9 * * 1-5', timezone='Europe/Berlin')"


def test_a_pickled_schedule_is_the_same() -> None:
    cron = Cron("0 9 * * 1-5", "Europe/Berlin")
    other = pickle.loads(pickle.dumps(cron))
    assert other == cron
    assert other.next_after(utc(2026, 1, 1)) == cron.next_after(utc(2026, 1, 1))


def test_the_same_expression_in_each_tenants_zone() -> None:
    cron = Cron("0 9 * * *")
    tokyo = cron.in_zone("Asia/Tokyo")
    assert tokyo == Cron("0 9 * * *", "Asia/Tokyo")
    assert tokyo.next_after(utc(2026, 6, 1)) == utc(2026, 6, 2)
    assert tokyo.next_after(utc(2026, 5, 31, 23)) == utc(2026, 6, 1)
    # One value for all tenants of the zone.
    assert Cron("0 9 * * *", "Europe/Paris").in_zone("Asia/Tokyo") is tokyo
    assert cron.in_zone("UTC") is cron
    with pytest.raises(InvalidSchedule, match="Asia/Tokyo"):
        cron.in_zone("Asia/Tokio")
