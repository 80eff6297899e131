"""A session that is idle in a transaction and holds rows of jobs (S13): the work of others goes on."""

from __future__ import annotations

from tests.reliability.application import Held, Quick
from tests.reliability.postgres.application import Elsewhere
from tests.reliability.postgres.processes import ServerFleet, until

LOCKED = "SELECT FROM cgk_jobs.runs WHERE task = 'quick' AND state = 'queued' FOR UPDATE"


def test_s13_rows_that_wait_and_are_held_by_a_session_delay_nobody_else(fleet: ServerFleet) -> None:
    held = [fleet.send(Quick(tenant_id="acme", number=number)) for number in range(20)]
    with fleet.holding(LOCKED):
        fleet.worker(concurrency=5, lease=1.0, queues=["default", "elsewhere"])
        others = [fleet.send(Elsewhere(tenant_id="acme", number=number)) for number in range(100)]
        # Of the same queue and the same tenant, too: a claim goes past what is locked.
        others += [fleet.send(Quick(tenant_id="acme", number=number)) for number in range(20, 40)]
        assert [fleet.result(run) for run in others] == [*range(100), *range(20, 40)]
        assert {fleet.get(run).state for run in held} == {"queued"}
    assert [fleet.result(run) for run in held] == list(range(20))
    assert len(fleet.history.lines("quick")) == 40


def test_s13_rows_of_running_runs_held_by_a_session_delay_their_own_worker_alone(fleet: ServerFleet) -> None:
    fleet.worker(concurrency=5, lease=1.0, queues=["default"])
    held = [fleet.send(Held(tenant_id="acme", number=number)) for number in range(5)]
    until(lambda: len(fleet.history.lines("held")) == 5, "the runs began")
    fleet.worker(concurrency=5, lease=1.0, queues=["elsewhere"])
    with fleet.holding("SELECT FROM cgk_jobs.runs WHERE task = 'held' FOR UPDATE"):
        for number in range(5):
            fleet.open(f"held-{number}-1")
        until(lambda: fleet.waiting_for_locks() > 0, "the worker waits to write how they ended")
        others = [fleet.send(Elsewhere(tenant_id="acme", number=number)) for number in range(100)]
        assert [fleet.result(run) for run in others] == list(range(100))
        assert {fleet.get(run).state for run in held} == {"running"}
    assert [fleet.result(run) for run in held] == ["claim 1"] * 5
    assert len(fleet.history.lines("held")) == 5
