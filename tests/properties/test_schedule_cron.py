from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from dateutil.rrule import DAILY, FR, MO, SA, SU, TH, TU, WE, rrule
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tests.full.cron_oracle import Expression
from tests.properties.schedule_strategies import crons, expressions, moments, zones

from cgk_jobs.errors import InvalidSchedule
from cgk_jobs.tasks.schedule import Cron

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
INSTANT = timedelta(microseconds=1)

quickly = settings(deadline=None, max_examples=100)


@quickly
@given(crons(), moments)
def test_the_next_tick_is_after_and_the_previous_before(cron: Cron, moment: datetime) -> None:
    following, last = cron.next_after(moment), cron.previous_before(moment)
    assert last < moment < following
    # There is none between the two, but for the moment itself.
    assert cron.next_after(last) in (moment, following)
    assert cron.previous_before(following) in (moment, last)
    for tick in (last, following):
        assert tick.tzinfo is UTC
        assert (tick.second, tick.microsecond) == (0, 0)


@quickly
@given(crons(), moments)
def test_between_is_next_after_again_and_again(cron: Cron, moment: datetime) -> None:
    found = list(islice(cron.between(moment, datetime.max.replace(tzinfo=UTC)), 20))
    tick, walked = moment, []
    for _ in range(20):
        tick = cron.next_after(tick)
        walked.append(tick)
    assert found == walked
    for one, other in pairwise(walked):
        assert cron.previous_before(other) == one
        assert cron.next_after(other - INSTANT) == other
        assert cron.previous_before(one + INSTANT) == one


@quickly
@given(crons(), moments, st.lists(st.integers(0, 4000), min_size=3, max_size=3).map(sorted))
def test_neighbouring_stretches_of_time_add_up(cron: Cron, moment: datetime, minutes: list[int]) -> None:
    start, middle, end = (moment + number * MINUTE for number in minutes)
    whole = list(cron.between(start, end))
    assert [*cron.between(start, middle), *cron.between(middle, end)] == whole
    assert list(cron.between(start, end, newest_first=True)) == whole[::-1]
    assert cron.count_between(start, end) == len(whole)
    assert all(start < tick <= end for tick in whole)


@settings(deadline=None, max_examples=50)
@given(crons(), moments)
@example(Cron("0-59/15 0-23 * * *", "Africa/Casablanca"), datetime(2026, 2, 15, tzinfo=UTC))
@example(Cron("5-5/10,7 * * * *"), datetime(2026, 2, 15, tzinfo=UTC))
@example(Cron("*/15 * * * *", "Antarctica/Troll"), datetime(2026, 10, 25, tzinfo=UTC))
def test_ticks_are_those_of_the_written_rule(cron: Cron, moment: datetime) -> None:
    start = EPOCH + (moment - EPOCH) // MINUTE * MINUTE
    watched = [start + minute * MINUTE for minute in range(-1440, 2 * 1440 + 1)]
    readings = [cron.local(minute) for minute in watched]
    clock = [(minute.replace(tzinfo=UTC) - EPOCH) // MINUTE for minute in readings]
    due = [watched[at] for at in Expression(cron.expression).ticks(clock)]
    # The first day tells the oracle what the clocks had shown.
    assert list(cron.between(start, watched[-1])) == [tick for tick in due if tick > start]


@quickly
@given(expressions, zones, zones, moments)
def test_an_expression_moves_between_zones(expression: str, one: str, other: str, moment: datetime) -> None:
    try:
        cron, moved = Cron(expression, one), Cron(expression, other)
    except InvalidSchedule:
        return
    assert cron.in_zone(other) == moved
    assert cron.in_zone(other).next_after(moment) == moved.next_after(moment)
    assert cron.in_zone(other).in_zone(one) == cron


calendars = st.tuples(
    st.sets(st.integers(0, 59), min_size=1, max_size=3),
    st.sets(st.integers(0, 23), min_size=1, max_size=3),
    st.sets(st.integers(1, 31), max_size=4),
    st.sets(st.integers(1, 12), max_size=4),
    st.sets(st.integers(0, 6), max_size=3),
)


@quickly
@given(calendars, moments)
def test_calendars_agree_with_another_library(calendar: tuple[set[int], ...], moment: datetime) -> None:
    minutes, hours, days, months, weekdays = calendar
    if days:
        weekdays = set()
    fields = [",".join(map(str, field)) or "*" for field in (minutes, hours, days, months, weekdays)]
    try:
        cron = Cron(" ".join(fields))
    except InvalidSchedule:  # 31 April
        assume(not days or min(days) <= 29)
        raise
    rule = rrule(
        DAILY,
        dtstart=moment.replace(hour=0, minute=0, second=0, microsecond=0),
        until=moment + timedelta(days=500),
        bymonth=sorted(months) or None,
        bymonthday=sorted(days) or None,
        byweekday=[(SU, MO, TU, WE, TH, FR, SA)[day] for day in sorted(weekdays)] or None,
        byhour=sorted(hours),
        byminute=sorted(minutes),
        bysecond=0,
    )
    expected = list(islice((tick for tick in rule if tick > moment), 50))
    assert list(islice(cron.between(moment, moment + timedelta(days=500)), 50)) == expected


@quickly
@given(st.text("0123456789*/,-#LWMONsun@? ", max_size=20) | st.text(max_size=20))
def test_any_text_is_a_schedule_or_refused(text: str) -> None:
    try:
        cron = Cron(text)
    except InvalidSchedule:
        return
    assert cron.next_after(EPOCH) > EPOCH


@quickly
@given(st.text(max_size=20))
def test_any_zone_is_known_or_refused(text: str) -> None:
    try:
        cron = Cron("0 0 * * *", text)
    except InvalidSchedule:
        return
    assert ZoneInfo(text).key == cron.timezone
