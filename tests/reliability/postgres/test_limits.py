"""Limits at every instant, while workers are killed (S18)."""

from __future__ import annotations

from tests.reliability.postgres.processes import ServerFleet
from tests.reliability.postgres.scenarios import limits_under_fire


def test_s18_limits_hold_at_every_instant_while_workers_are_killed(fleet: ServerFleet) -> None:
    limits_under_fire(fleet, workers=4, jobs=400, kills=3)
