"""Workers that stand still and come back, and handlers that let nothing else run (S3, S4, S5)."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from tests.reliability.application import Frozen, Held, Quick, Stubborn
from tests.reliability.processes import Fleet, resume, until

from cgk_jobs.engine.records import Appetite, LogLine, Settlement
from cgk_jobs.engine.states import State

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="only Linux says of a process that it is stopped"
)

LEASE = 0.5


def last_beat(fleet: Fleet, pid: int | None) -> float:
    """When a worker was last heard of, in seconds; 0 if it has no seat."""
    rows = fleet.rows("SELECT beat_at FROM workers WHERE pid = ?", pid)
    return rows[0][0] / 1e6 if rows else 0.0


def test_s3_a_worker_stopped_for_three_leases_comes_back_and_its_success_is_refused(fleet: Fleet) -> None:
    zombie = fleet.worker(lease=LEASE)
    run = fleet.send(Held(tenant_id="acme"))
    until(lambda: fleet.history.lines("held", "0", "1"), "the run began")
    fleet.stop(zombie)
    stopped_at = last_beat(fleet, zombie.pid)
    owner = fleet.worker(lease=LEASE)
    until(lambda: fleet.history.lines("held", "0", "2"), "another worker took the run")
    until(lambda: last_beat(fleet, owner.pid) > stopped_at + 3 * LEASE, "three leases passed")
    assert last_beat(fleet, zombie.pid) == 0.0
    fleet.open("held-0-1")
    resume(zombie)
    until(lambda: fleet.history.lines("ended", "0", "1"), "the zombie's handler returned")
    until(lambda: fleet.history.lines("lost"), "its success was refused")
    assert fleet.get(run).state == "running"
    fleet.open("held-0-3")
    assert fleet.result(run) == "claim 3"
    assert fleet.history.lines("ended") == [
        ["ended", "0", "1", str(zombie.pid)],
        ["ended", "0", "2", str(owner.pid)],
    ]
    # It works again, under a new seat.
    until(lambda: last_beat(fleet, zombie.pid), "the zombie took a new seat")
    more = [fleet.send(Quick(tenant_id="acme", number=number)) for number in range(20)]
    assert [fleet.result(one) for one in more] == list(range(20))


def test_s3_a_stopped_worker_that_is_heard_of_again_within_its_lease_keeps_its_runs(fleet: Fleet) -> None:
    worker = fleet.worker(lease=600.0)
    run = fleet.send(Held(tenant_id="acme"))
    until(lambda: fleet.history.lines("held"), "the run began")
    fleet.stop(worker)
    other = fleet.worker(lease=600.0)
    quick = fleet.send(Quick(tenant_id="acme"))
    fleet.result(quick)
    assert fleet.history.lines("quick")[0][-1] == str(other.pid)
    resume(worker)
    fleet.open("held-0-1")
    assert fleet.result(run) == "claim 1"
    assert fleet.get(run).attempt == 1


def test_s4_a_zombie_writes_nothing_by_any_way(fleet: Fleet) -> None:
    zombie = fleet.worker(lease=LEASE)
    run = fleet.send(Stubborn(tenant_id="acme"))
    until(lambda: fleet.history.lines("stubborn", "1"), "the run began")
    fleet.stop(zombie)
    owner = fleet.worker(lease=LEASE)
    until(lambda: fleet.history.lines("stubborn", "2"), "another worker took the run")
    resume(zombie)
    until(lambda: fleet.history.lines("cancelled", "1"), "the zombie learnt that it lost its run")
    fleet.open("stubborn-1")
    (answer,) = until(lambda: fleet.history.lines("sent"), "the zombie tried every way")
    # A send is the tenant's own and not the attempt's; with the run's key it is the one the owner has sent.
    assert answer == ["sent", "duplicate"]
    assert not fleet.history.lines("accepted")
    assert len(fleet.history.lines("refused")) == 60
    until(lambda: last_beat(fleet, zombie.pid), "the zombie took a new seat")
    fleet.open("stubborn-2")
    assert fleet.result(run) == "attempt 2"
    ended = fleet.get(run)
    assert [step.name for step in ended.steps] == ["owner"]
    assert {line.message for line in ended.log} == {"owner"}
    assert ended.progress == {"fraction": 0.5, "message": "owner"}
    until(lambda: fleet.rows("SELECT 1 FROM runs WHERE task = 'quick' AND state = 'completed'"), "the send's run ended")
    assert len(fleet.history.lines("quick")) == 1
    assert fleet.history.lines("quick")[0][-1] in (str(owner.pid), str(zombie.pid))


async def test_s4_a_worker_given_up_for_dead_gets_no_more_runs(fleet: Fleet) -> None:
    """Between its return and the heartbeat that tells it: runs it held then would be nobody's if it died."""
    store = fleet.jobs.provider.store
    await fleet.jobs.declare()
    zombie = await store.take_seat(("default",), 10, 600.0)
    seat = await store.take_seat(("default",), 10, 600.0)
    await fleet.jobs.send(Quick(tenant_id="acme"))
    await zombie.leave()
    appetite = Appetite(("default",), 10, {"quick": None})
    assert (await store.exchange(zombie.id, [], appetite)).claims == []
    assert len((await store.exchange(seat.id, [], appetite)).claims) == 1
    await seat.leave()


async def test_s4_every_write_of_a_stale_claim_is_refused(fleet: Fleet) -> None:
    store = fleet.jobs.provider.store
    await fleet.jobs.send_many([Quick(tenant_id="acme", number=number) for number in range(100)])
    appetite = Appetite(("default",), 100, {"quick": None})
    zombie = await store.take_seat(("default",), 100, 600.0)
    stale = (await store.exchange(zombie.id, [], appetite)).claims
    await zombie.leave()
    owner = await store.take_seat(("default",), 100, 600.0)
    held = (await store.exchange(owner.id, [], appetite)).claims
    assert {claim.seq for claim in held} == {claim.seq for claim in stale}
    line = LogLine(0, "INFO", "zombie")
    ways: list[tuple[State, int | None, tuple[LogLine, ...]]] = [
        ("completed", None, ()),
        ("completed", None, (line,)),
        ("failed", None, ()),
        ("cancelled", None, ()),
        ("queued", None, ()),
        ("retrying", 1, ()),
        ("waiting", 1, (line,)),
    ]
    endings = [
        Settlement(claim, state, 1, result='"zombie"', due_at=due_at, log=log)
        for claim in stale
        for state, due_at, log in ways
    ]
    plain = [ending for ending in endings if ending.state == "completed" and not ending.log]
    for batch in (plain, endings):
        answer = await store.exchange(zombie.id, batch, None)
        assert answer.stale == [ending.claim for ending in batch]
    for claim in stale:
        writes = await asyncio.gather(
            store.record_step(claim, "step", "1"),
            store.write_progress(claim, "{}"),
            store.append_log(claim, [line]),
        )
        assert not any(writes)
    assert fleet.rows("SELECT count(*), state, progress, result FROM runs GROUP BY 2, 3, 4") == [
        (100, "running", None, None)
    ]
    for table in ("steps", "run_logs", "attempts"):
        assert fleet.rows(f"SELECT count(*) FROM {table}") == [(0,)]
    assert (await store.exchange(owner.id, [Settlement(claim, "completed", 1) for claim in held], None)).stale == []
    await owner.leave()


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="needs the interpreter's lock")
def test_s5_a_handler_that_holds_the_interpreters_lock_for_many_leases_runs_once(fleet: Fleet) -> None:
    os.mkfifo(fleet.folder / "pipe")
    frozen = fleet.worker(lease=LEASE)
    run = fleet.send(Frozen(tenant_id="acme"))
    until(lambda: fleet.history.lines("frozen"), "the run began")
    other = fleet.worker(lease=LEASE)
    until(lambda: last_beat(fleet, other.pid) > last_beat(fleet, frozen.pid) + 5 * LEASE, "five leases passed")
    # The frozen worker has not been heard of since, and its seat and run are left to it.
    assert last_beat(fleet, frozen.pid)
    (fleet.folder / "pipe").write_bytes(b"!")
    assert fleet.result(run) == 1
    assert fleet.history.lines("frozen") == [["frozen", "1", str(frozen.pid)]]
