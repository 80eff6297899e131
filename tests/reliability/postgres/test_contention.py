"""Finish, cancel, prune, retry and rescue in parallel on the same rows (S16)."""

from __future__ import annotations

from tests.reliability.postgres.contention import everything_at_once
from tests.reliability.postgres.processes import ServerFleet


def test_s16_no_deadlock_is_seen_by_anybody(fleet: ServerFleet) -> None:
    tally = everything_at_once(fleet, runs=200, rounds=25)
    # Each of them did meet work.
    for act in ("send", "cancel_one", "cancel_all", "retry", "prune", "rescue"):
        assert tally.done[act] > 0, tally.done
