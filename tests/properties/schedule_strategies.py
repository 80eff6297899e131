"""Cron expressions, time zones and moments for property tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from hypothesis import assume
from hypothesis import strategies as st

from cgk_jobs.errors import InvalidSchedule
from cgk_jobs.tasks.schedule import Cron

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")

ZONES = (
    "UTC",
    "America/New_York",
    "Europe/London",
    "Europe/Dublin",
    "Asia/Kolkata",
    "Asia/Gaza",
    "Africa/Casablanca",
    "Africa/Cairo",
    "America/Asuncion",
    "America/Havana",
    "America/Santiago",
    "Antarctica/Troll",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
)

zones = st.sampled_from(ZONES)
moments = st.datetimes(datetime(2010, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def _terms(low: int, high: int, names: Sequence[str] = (), special: Sequence[str] = ()) -> st.SearchStrategy[str]:
    numbers = st.integers(low, high)
    single = numbers.map(str)
    spans = st.tuples(numbers, numbers).map(lambda ends: f"{min(ends)}-{max(ends)}")
    steps = st.integers(1, high)
    terms = [
        single,
        spans,
        st.tuples(st.one_of(single, spans, st.just("*")), steps).map(lambda both: f"{both[0]}/{both[1]}"),
    ]
    if names:
        terms.append(st.sampled_from(names))
    if special:
        terms.append(st.sampled_from(special))
    return st.one_of(terms)


def _fields(low: int, high: int, names: Sequence[str] = (), special: Sequence[str] = ()) -> st.SearchStrategy[str]:
    lists = st.lists(_terms(low, high, names, special), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), lists)


expressions = st.tuples(
    _fields(0, 59),
    _fields(0, 23),
    _fields(1, 31, special=("L", "LW")),
    _fields(1, 12, MONTHS),
    _fields(0, 7, WEEKDAYS, special=("1#1", "MON#2", "SUN#5", "7#3", "0L", "5L", "7L")),
).map(" ".join)


@st.composite
def crons(draw: st.DrawFn) -> Cron:
    """Any schedule that is due at times; those that never match are left to the tests of refusals."""
    expression, timezone = draw(expressions), draw(zones)
    try:
        return Cron(expression, timezone)
    except InvalidSchedule as error:
        assume("within its months" not in str(error) and "never matches" not in str(error))
        raise
