from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties.schedule_strategies import crons, moments

from cgk_jobs.tasks.schedule import Cron, Misfire, missed_ticks, spread_offset

quickly = settings(deadline=None, max_examples=100)
policies = st.sampled_from(("latest", "all", "skip"))
# Minutes from one look at the schedules to the next: on time, late, after an outage, and with the clock set back.
looks = st.lists(st.one_of(st.floats(0, 3), st.floats(0, 3000), st.floats(-180, 0)), min_size=1, max_size=30)


@quickly
@given(crons(), moments, looks, policies, st.integers(1, 50))
def test_every_tick_fires_or_counts_as_missed_exactly_once(
    cron: Cron, start: datetime, steps: list[float], misfire: Misfire, cap: int
) -> None:
    last = now = newest = start
    fired: list[datetime] = []
    accounted = 0
    for minutes in steps:
        now += timedelta(minutes=minutes)
        newest = max(newest, now)
        due = missed_ticks(cron, last, now, misfire, cap=cap)
        assert len(due) <= (cap if misfire == "all" else 1)
        for tick, missed in due:
            assert last < tick <= now
            if misfire == "skip":
                assert now - tick <= timedelta(seconds=60)
            fired.append(tick)
            accounted += 1 + missed
            assert accounted == cron.count_between(start, tick)
            last = tick
    assert fired == sorted(set(fired))
    if misfire != "skip":
        assert accounted == cron.count_between(start, newest)


@quickly
@given(crons(), moments, st.integers(0, 5000), st.integers(1, 50))
def test_latest_is_the_end_of_all_and_all_the_end_of_every_tick(
    cron: Cron, last: datetime, minutes: int, cap: int
) -> None:
    now = last + timedelta(minutes=minutes)
    every = list(cron.between(last, now))
    fired = missed_ticks(cron, last, now, "all", cap=cap)
    assert [tick for tick, _ in fired] == every[-cap:]
    assert [missed for _, missed in fired] == ([len(every) - len(fired)] + [0] * (len(fired) - 1) if fired else [])
    assert missed_ticks(cron, last, now, "latest") == ([(every[-1], len(every) - 1)] if every else [])


@quickly
@given(st.text(max_size=30), st.text(max_size=30), st.floats(0, 1e9, allow_subnormal=False))
def test_an_offset_lies_within_the_spread(schedule: str, tenant_id: str, seconds: float) -> None:
    offset = spread_offset(schedule, tenant_id, seconds)
    assert offset == 0 if seconds == 0 else 0 <= offset < seconds
    assert offset == spread_offset(schedule, tenant_id, seconds)
