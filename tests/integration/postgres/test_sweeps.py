"""Where claims begin to search on PostgreSQL: at the front unless that has become slow."""

from __future__ import annotations

import pytest

from cgk_jobs.engine.postgres.sweeps import Sweeps


def test_a_queue_that_is_neither_full_nor_littered_is_always_searched_from_the_front() -> None:
    sweeps = Sweeps()
    assert sweeps.is_due("q", 0.0)
    sweeps.swept("q", 0.0, 0.002, 1)
    assert sweeps.is_due("q", 0.0)


def test_a_full_queue_is_swept_four_times_a_second() -> None:
    sweeps = Sweeps()
    sweeps.swept("q", 10.0, 0.002, 100)
    sweeps.filled("q", True)
    assert not sweeps.is_due("q", 10.2)
    assert sweeps.is_due("q", 10.25)
    assert sweeps.is_due("another", 10.2)
    sweeps.filled("q", False)
    assert sweeps.is_due("q", 10.2)


@pytest.mark.parametrize(("took", "pause"), [(0.02, 1.0), (0.06, 3.0), (2.0, 5.0)])
def test_a_littered_front_is_swept_a_fiftieth_of_the_time_and_every_five_seconds_at_least(
    took: float, pause: float
) -> None:
    sweeps = Sweeps()
    sweeps.swept("q", 10.0, took, 1)
    assert not sweeps.is_due("q", 10.0 + pause - 0.01)
    assert sweeps.is_due("q", 10.0 + pause + 0.01)


def test_a_claim_that_is_slow_because_it_is_large_has_met_no_litter() -> None:
    sweeps = Sweeps()
    sweeps.swept("q", 10.0, 0.1, 1_000)
    assert sweeps.is_due("q", 10.0)


def test_a_front_that_was_cleared_is_always_searched_again() -> None:
    sweeps = Sweeps()
    sweeps.swept("q", 10.0, 0.06, 1)
    sweeps.swept("q", 13.1, 0.002, 1)
    assert sweeps.is_due("q", 13.1)
