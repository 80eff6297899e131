"""What a quota lets through: pure."""

from __future__ import annotations

from typing import Any

import pytest

from cgk_jobs import InvalidEvent, Quota, QuotaExceeded, TenantClosed
from cgk_jobs.engine.quotas import Cost, Counter, TenantQuotas, charge, returned, uses

SECOND = 1_000_000
MINUTE = 60 * SECOND
ONE = Cost(1, 1, 10)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "soft=, hard= or both"),
        ({"hard": 0}, "at least 1"),
        ({"soft": -1}, "at least 1"),
        ({"soft": 11, "hard": 10}, "soft at most hard"),
        ({"hard": 1, "seconds": 0}, "a millisecond to a year"),
        ({"hard": 1, "seconds": float("inf")}, "a millisecond to a year"),
        ({"hard": 1, "seconds": float("nan")}, "a millisecond to a year"),
    ],
)
def test_quotas_that_cannot_work_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidEvent, match=message):
        Quota(**values)


def test_each_quota_counts_its_own() -> None:
    counter, _ = charge(TenantQuotas("a", queued_hard=5), Counter("a"), Cost(1, 3, 30), 0)
    assert (counter.runs, counter.payload_bytes, counter.sends) == (3, 30, 1)
    for quotas, name in (
        (TenantQuotas("a", queued_hard=5), "queued"),
        (TenantQuotas("a", bytes_hard=59), "payload_bytes"),
        (TenantQuotas("a", sends_hard=1, sends_seconds=60), "sends"),
    ):
        with pytest.raises(QuotaExceeded) as refusal:
            charge(quotas, counter, Cost(1, 3, 30), 0)
        assert refusal.value.quota == name


def test_what_adds_nothing_is_never_refused() -> None:
    over = Counter("a", runs=9, payload_bytes=900)
    counter, _ = charge(TenantQuotas("a", queued_hard=5, bytes_hard=5), over, Cost(1, 0, 0), 0)
    assert counter.runs == 9


def test_a_closed_tenant_takes_nothing() -> None:
    with pytest.raises(TenantClosed):
        charge(TenantQuotas("a", closed=True), Counter("a"), Cost(), 0)


def test_a_warning_comes_at_the_soft_quota_and_again_after_a_tenth_less() -> None:
    quotas = TenantQuotas("a", queued_soft=10, queued_hard=100)
    counter, crossed = charge(quotas, Counter("a", runs=8), ONE, 0)
    assert crossed == []
    counter, crossed = charge(quotas, counter, ONE, 0)
    assert [one.use.used for one in crossed] == [10]
    counter, crossed = charge(quotas, returned(counter, 1, 10), ONE, 0)
    assert crossed == []
    counter, crossed = charge(quotas, returned(counter, 2, 20), Cost(1, 2, 20), 0)
    assert [one.use.used for one in crossed] == [10]


def test_two_quotas_warn_each_by_itself() -> None:
    quotas = TenantQuotas("a", queued_soft=2, bytes_soft=30)
    counter, crossed = charge(quotas, Counter("a"), Cost(1, 2, 20), 0)
    assert [one.use.name for one in crossed] == ["queued"]
    counter, crossed = charge(quotas, counter, ONE, 0)
    assert [one.use.name for one in crossed] == ["payload_bytes"]


def test_the_window_of_sends_moves_on() -> None:
    quotas = TenantQuotas("a", sends_hard=10, sends_seconds=60)
    counter, _ = charge(quotas, Counter("a"), Cost(8), 30 * SECOND)
    assert [use.used for use in uses(quotas, counter, 59 * SECOND)] == [8]
    # A quarter into the next window three quarters of the last one count.
    assert [use.used for use in uses(quotas, counter, MINUTE + 15 * SECOND)] == [6]
    counter, _ = charge(quotas, counter, Cost(4), MINUTE + 15 * SECOND)
    with pytest.raises(QuotaExceeded, match="10 sends in 60 s"):
        charge(quotas, counter, Cost(1), MINUTE + 15 * SECOND)
    assert [use.used for use in uses(quotas, counter, 3 * MINUTE)] == [0]


def test_a_clock_that_steps_back_gives_no_new_window() -> None:
    quotas = TenantQuotas("a", sends_hard=2, sends_seconds=60)
    counter, _ = charge(quotas, Counter("a"), Cost(2), 10 * MINUTE)
    with pytest.raises(QuotaExceeded):
        charge(quotas, counter, Cost(1), MINUTE)


def test_a_count_never_falls_below_nothing() -> None:
    assert returned(Counter("a", runs=1, payload_bytes=5), 2, 10) == Counter("a")
