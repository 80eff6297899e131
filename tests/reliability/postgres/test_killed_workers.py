"""Workers killed at random while others work (S2), and a handler that kills its worker (S17)."""

from __future__ import annotations

from tests.reliability.application import Deadly, Quick
from tests.reliability.postgres.processes import ServerFleet, until
from tests.reliability.postgres.scenarios import LEASE, random_kills


def test_s2_random_kills_lose_nothing_and_repeat_only_what_was_under_way(fleet: ServerFleet) -> None:
    random_kills(fleet, workers=3, jobs=600, kills=6).verify()


def test_s17_a_handler_that_ends_its_process_is_set_aside_after_its_attempts(fleet: ServerFleet) -> None:
    deadly = fleet.send(Deadly(tenant_id="acme"))
    others = [fleet.send(Quick(tenant_id="acme", number=number)) for number in range(50)]
    starts = 0
    while len(fleet.history.lines("deadly")) < 2:
        # What a supervisor does.
        starts += 1
        assert starts <= 2
        fleet.worker(lease=LEASE).join()
    fleet.worker(lease=LEASE)
    until(lambda: fleet.get(deadly).finished, "the poison was set aside")
    ended = fleet.get(deadly)
    assert (ended.state, ended.attempt) == ("failed", 3)
    assert "worker process ended" in ended.error
    assert [fleet.result(one) for one in others] == list(range(50))
