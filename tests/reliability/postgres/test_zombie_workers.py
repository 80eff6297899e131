"""Workers that stand still for longer than their lease and come back (S3, S4)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.reliability.application import Quick, Stubborn
from tests.reliability.postgres.processes import ServerFleet, resume, until
from tests.reliability.postgres.scenarios import stopped_and_resumed

from cgk_jobs.engine.records import Appetite, LogLine, Settlement
from cgk_jobs.engine.states import State

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="only Linux says of a process that it is stopped"
)

LEASE = 0.5


def test_s3_a_worker_stopped_for_three_leases_comes_back_and_its_success_is_refused(fleet: ServerFleet) -> None:
    zombie = stopped_and_resumed(fleet, runs=10)
    # It works again, under a new seat.
    until(lambda: zombie.pid in fleet.workers(), "the zombie took a new seat")
    more = [fleet.send(Quick(tenant_id="acme", number=number)) for number in range(20)]
    assert [fleet.result(one) for one in more] == list(range(20))


def test_s4_a_zombie_writes_nothing_by_any_way(fleet: ServerFleet) -> None:
    zombie = fleet.worker(lease=LEASE)
    run = fleet.send(Stubborn(tenant_id="acme"))
    until(lambda: fleet.history.lines("stubborn", "1"), "the run began")
    fleet.stop(zombie)
    fleet.worker(lease=LEASE)
    until(lambda: fleet.history.lines("stubborn", "2"), "another worker took the run")
    resume(zombie)
    until(lambda: fleet.history.lines("cancelled", "1"), "the zombie learnt that it lost its run")
    fleet.open("stubborn-1")
    (answer,) = until(lambda: fleet.history.lines("sent"), "the zombie tried every way")
    # A send is the tenant's own and not the attempt's; with the run's key it is the one the owner has sent.
    assert answer == ["sent", "duplicate"]
    assert not fleet.history.lines("accepted")
    assert len(fleet.history.lines("refused")) == 60
    fleet.open("stubborn-2")
    assert fleet.result(run) == "attempt 2"
    ended = fleet.get(run)
    assert [step.name for step in ended.steps] == ["owner"]
    assert {line.message for line in ended.log} == {"owner"}
    assert ended.progress == {"fraction": 0.5, "message": "owner"}
    until(lambda: fleet.unfinished() == 0, "the run of the send ended")
    assert len(fleet.history.lines("quick")) == 1


async def test_s4_every_write_of_a_stale_claim_is_refused(fleet: ServerFleet) -> None:
    store = fleet.jobs.provider.store
    await fleet.jobs.send_many([Quick(tenant_id="acme", number=number) for number in range(100)])
    appetite = Appetite(("default",), 100, {"quick": None})
    zombie = await store.take_seat(("default",), 100, 600.0)
    stale = (await store.exchange(zombie.id, [], appetite)).claims
    await zombie.leave()
    owner = await store.take_seat(("default",), 100, 600.0)
    held = (await store.exchange(owner.id, [], appetite)).claims
    assert {claim.seq for claim in held} == {claim.seq for claim in stale}
    # One more, which whoever has a seat may have.
    await fleet.jobs.send(Quick(tenant_id="acme", number=100))
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
    for batch, wish in ((plain, None), (plain, appetite), (endings, None)):
        answer = await store.exchange(zombie.id, batch, wish)
        # Given up, it gets no new runs either.
        assert answer.claims == []
        assert answer.stale == [ending.claim for ending in batch]
    for claim in stale:
        writes = await asyncio.gather(
            store.record_step(claim, "step", "1"),
            store.write_progress(claim, "{}"),
            store.write_metadata(claim, '{"zombie": true}'),
            store.append_log(claim, [line]),
        )
        assert not any(writes)
    assert not await store.beat(zombie.id)
    states = "SELECT count(*), state, worker, progress, metadata FROM cgk_jobs.runs GROUP BY 2, 3, 4, 5 ORDER BY 1"
    assert fleet.rows(states) == [(1, "queued", None, None, None), (100, "running", owner.id, None, None)]
    for table in ("steps", "run_logs", "attempts", "finished_runs"):
        assert fleet.value(f"SELECT count(*) FROM cgk_jobs.{table}") == 0
    assert (await store.exchange(owner.id, [Settlement(claim, "completed", 1) for claim in held], None)).stale == []
    await owner.leave()
