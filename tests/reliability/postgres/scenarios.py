"""The scenarios with real worker processes, in any size: quick ones are tests, full ones ``tests.full.postgres_under_fire``."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess

from tests.reliability.application import Held, Quick
from tests.reliability.postgres.application import Flow, Parked, Throttled
from tests.reliability.postgres.processes import ServerFleet, kill, resume, until, until_within
from tests.servers.postgres import PostgresServer

from cgk_jobs import Event, ProviderUnavailable, Sent

__all__ = [
    "LEASE",
    "Kills",
    "Restarts",
    "limits_under_fire",
    "random_kills",
    "restart_during_rescue",
    "restarts",
    "send_all",
    "stopped_and_resumed",
]

TENANTS = [f"tenant-{number}" for number in range(8)]
LEASE = 1.0
_AT_ONCE = 1_000


def send_all(fleet: ServerFleet, events: list[Event]) -> list[str]:
    """Send, so many at once; the ids of the runs."""
    ids: list[str] = []
    for first in range(0, len(events), _AT_ONCE):
        ids += [sent.run_id for sent in fleet.jobs.sync.send_many(events[first : first + _AT_ONCE])]
    return ids


# -- S2 ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kills:
    """What S2 came to."""

    jobs: int
    kills: int
    completed: int
    failed: int
    executions: int
    slots: int

    def verify(self) -> None:
        """The pass mark: none lost, and none done again but what was under way in a worker that was killed."""
        assert self.completed + self.failed == self.jobs
        # A run spends an attempt with each kill: three in a row end it, and that is told as its error.
        assert self.failed <= self.kills
        assert self.jobs <= self.executions <= self.jobs + self.kills * self.slots


def random_kills(
    fleet: ServerFleet,
    *,
    workers: int,
    jobs: int,
    kills: int,
    every: float | None = None,
    seed: int = 1,
    limit: float = 60,
) -> Kills:
    """S2. Kills random workers and starts others in their place: after equal shares of the work, or ``every`` so many
    seconds while there is work, which then arrives over the time the kills take."""
    slots = 20
    chance = random.Random(seed)
    events: list[Event] = [Quick(tenant_id=TENANTS[number % 8], number=number) for number in range(jobs)]
    crew = [fleet.worker(concurrency=slots, lease=LEASE) for _ in range(workers)]

    def strike() -> None:
        victim = crew.pop(chance.randrange(len(crew)))
        kill(victim)
        crew.append(fleet.worker(concurrency=slots, lease=LEASE))

    done = 0
    if every is None:
        until(lambda: len(fleet.workers()) == workers, "the workers took their seats")
        send_all(fleet, events)
        while done < kills:
            share = (done + 1) * jobs // (kills + 2)
            fleet.await_lines(share, "quick")
            strike()
            done += 1
    else:
        portion = -(-jobs // kills)
        for first in range(0, jobs, portion):
            next_at = time.monotonic() + every
            send_all(fleet, events[first : first + portion])
            strike()
            done += 1
            # The pace of the scenario itself; nothing is concluded from it.
            time.sleep(max(0.0, next_at - time.monotonic()))
    until_within(limit, lambda: fleet.unfinished() == 0, "every run ended")
    assert fleet.intact()
    lines = fleet.history.lines("quick")
    assert {line[1] for line in lines} == {str(number) for number in range(jobs)}
    assert (
        fleet.value("SELECT count(*) FROM cgk_jobs.finished_runs WHERE state = 'failed' AND error !~ 'process ended'")
        == 0
    )
    return Kills(jobs, done, fleet.ended(), fleet.ended("failed"), len(lines), slots)


# -- S3 ----------------------------------------------------------------------------------------------------------------


def stopped_and_resumed(fleet: ServerFleet, *, runs: int, lease: float = 0.5, limit: float = 60) -> BaseProcess:
    """S3. A worker with ``runs`` runs is stopped for three leases; back, all its handlers report success, too late."""
    zombie = fleet.worker(lease=lease, concurrency=runs)
    ids = send_all(fleet, [Held(tenant_id="acme", number=number) for number in range(runs)])
    until_within(limit, lambda: len(fleet.history.lines("held")) == runs, "the runs began")
    fleet.stop(zombie)
    assert zombie.pid is not None
    stopped_at = fleet.workers()[zombie.pid]
    owner = fleet.worker(lease=lease, concurrency=runs)
    until_within(limit, lambda: len(fleet.history.lines("held")) == 2 * runs, "another worker took the runs")
    until(lambda: fleet.workers()[owner.pid or 0] > stopped_at + 3 * lease * 1e6, "three leases passed")
    assert zombie.pid not in fleet.workers()
    for number in range(runs):
        fleet.open(f"held-{number}-1")
    resume(zombie)
    until_within(limit, lambda: len(fleet.history.lines("ended")) == runs, "the zombie's handlers returned")
    until_within(limit, lambda: len(fleet.history.lines("lost")) == runs, "their successes were refused")
    assert fleet.rows("SELECT DISTINCT state, claim FROM cgk_jobs.runs") == [("running", 3)]
    for number in range(runs):
        fleet.open(f"held-{number}-3")
    until_within(limit, lambda: fleet.unfinished() == 0, "the owner's runs ended")
    results = fleet.rows("SELECT DISTINCT state, result, attempt FROM cgk_jobs.finished_runs")
    assert results == [("completed", '"claim 3"', 2)]
    assert len(set(ids)) == fleet.ended() == runs
    return zombie


# -- S6, S7 --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Restarts:
    """What S6 came to."""

    flows: int
    restarts: int
    refused_sends: int


def restarts(
    fleet: ServerFleet,
    server: PostgresServer,
    *,
    flows: int,
    steps: int,
    restarts: int,
    workers: int = 2,
    pause: Callable[[], None] = lambda: None,
    limit: float = 60,
) -> Restarts:
    """S6. The server is restarted, in order and as by a crash in turn, while workflows are sent and run."""
    for _ in range(workers):
        fleet.worker(concurrency=20, lease=LEASE)
    sent: dict[int, str] = {}
    refused = 0

    def send(number: int) -> None:
        nonlocal refused
        while number not in sent:
            try:
                # Whether a send whose connection broke was stored nobody knows: with its key it may be sent again.
                answer = fleet.jobs.sync.send(
                    Flow(tenant_id=TENANTS[number % 8], number=number, steps=steps), key=f"{number}"
                )
            except ProviderUnavailable:
                refused += 1
            else:
                assert isinstance(answer, Sent)
                sent[number] = answer.run_id

    share = flows // (restarts + 1)
    for cycle in range(restarts):
        for number in range(cycle * share, (cycle + 1) * share):
            send(number)
        fleet.await_lines(cycle * share * steps + share, "stored", within=limit)
        server.restart("immediate" if cycle % 2 else "fast")
        pause()
    for number in range(restarts * share, flows):
        send(number)
    until_within(limit, lambda: fleet.unfinished() == 0, "every workflow ended")
    assert fleet.intact()
    assert fleet.ended() == flows == len(set(sent.values()))
    expected = {f"[{','.join(str(number * 100 + place) for place in range(steps))}]" for number in range(flows)}
    assert {row[0] for row in fleet.rows("SELECT result FROM cgk_jobs.finished_runs")} == expected
    no_stored_step_ran_again(fleet)
    return Restarts(flows, restarts, refused)


def no_stored_step_ran_again(fleet: ServerFleet) -> None:
    """No step began once it was stored."""
    stored: set[tuple[str, ...]] = set()
    for line in fleet.history.lines():
        step = tuple(line[1:])
        if line[0] == "stored":
            stored.add(step)
        assert not (line[0] == "step" and step in stored), f"{line} after it was stored"


def restart_during_rescue(
    fleet: ServerFleet, server: PostgresServer, *, runs: int, restarts: int = 2, limit: float = 60
) -> None:
    """S7. Again and again the worker that has all runs is killed, and the server goes down while the transaction that takes
    them back is open."""
    # Death is told by the heartbeat; a lease must only be longer than the server is down.
    lease = 2.5
    worker = fleet.worker(lease=lease, concurrency=runs)
    events: list[Event] = [
        Parked(tenant_id=TENANTS[number % 8], number=number, deaths=restarts) for number in range(runs)
    ]
    send_all(fleet, events)
    for cycle in range(restarts):
        # All of this attempt: none begins another one before its worker is dead.
        fleet.await_lines((cycle + 1) * runs, "parked", within=limit)
        victim, worker = worker, fleet.worker(lease=lease, concurrency=runs)
        # The victim has no slot left, so it is the other one that does this, and is past its start.
        fleet.result(fleet.send(Quick(tenant_id="acme", number=cycle)))
        # The last of the runs in the order of their keys: the rescue has locked all others, and waits for it.
        with fleet.holding("SELECT FROM cgk_jobs.runs ORDER BY tenant_id DESC, seq DESC LIMIT 1 FOR UPDATE"):
            kill(victim)
            until(lambda: fleet.waiting_for_locks() > 0, "the rescue is under way")
            server.restart("fast" if cycle % 2 else "immediate")
    until_within(limit, lambda: fleet.unfinished() == 0, "every run ended")
    assert fleet.ended() == runs + restarts
    assert fleet.intact()
    begun = Counter(line[2] for line in fleet.history.lines("parked"))
    assert begun == {str(attempt): runs for attempt in range(1, restarts + 2)}
    crashed = fleet.rows(
        "SELECT attempt, count(*) FROM cgk_jobs.attempts WHERE outcome = 'crashed' GROUP BY 1 ORDER BY 1"
    )
    assert crashed == [(attempt, runs) for attempt in range(1, restarts + 1)]


# -- S18 ---------------------------------------------------------------------------------------------------------------


def handlers_kept_to_the_limits(fleet: ServerFleet) -> None:
    """By what handlers wrote as they began and ended, which no look can miss."""
    running: set[tuple[str, ...]] = set()
    for word, *rest in fleet.history.lines():
        if word == "throttled":
            running.add(tuple(rest))
            assert len(running) <= 10
            assert max(Counter(tenant_id for tenant_id, *_ in running).values()) <= 2
        elif word == "through":
            running.discard(tuple(rest))
        elif word == "killing":
            running = {one for one in running if one[-1] != rest[0]}


def limits_under_fire(fleet: ServerFleet, *, workers: int, jobs: int, kills: int, limit: float = 60) -> int:
    """S18. Ten at a time, two of a tenant, looked at in one statement again and again while workers are killed.

    Returns how often it looked.
    """
    send_all(fleet, [Throttled(tenant_id=TENANTS[number % 8], number=number) for number in range(jobs)])
    crew = [fleet.worker(concurrency=20, lease=LEASE) for _ in range(workers)]
    looks = peak = peak_of_a_tenant = done = 0

    def sample() -> bool:
        nonlocal looks, peak, peak_of_a_tenant, done
        running = dict(fleet.rows("SELECT tenant_id, count(*) FROM cgk_jobs.runs WHERE state = 'running' GROUP BY 1"))
        looks += 1
        peak = max(peak, sum(running.values()))
        peak_of_a_tenant = max(peak_of_a_tenant, *running.values(), 0)
        assert peak <= 10
        assert peak_of_a_tenant <= 2
        ended = fleet.ended()
        if done < kills and running and ended > (done + 1) * jobs // (kills + 2):
            done += 1
            victim = crew.pop(0)
            # Told before: from here on what it has begun may be begun elsewhere.
            fleet.history.write("killing", victim.pid)
            kill(victim)
            crew.append(fleet.worker(concurrency=20, lease=LEASE))
        return ended == jobs

    give_up_at = time.monotonic() + limit
    # Without a pause: an instant between two looks is one that nobody saw.
    while not sample():
        assert time.monotonic() < give_up_at, "never happened: all runs completed"
    assert done == kills
    handlers_kept_to_the_limits(fleet)
    # The sampler did see the limits being used.
    assert (peak, peak_of_a_tenant) == (10, 2)
    # No slot went down with a worker.
    assert fleet.rows("SELECT key, used FROM cgk_jobs.limits WHERE used <> 0") == []
    begun = len(fleet.history.lines("throttled"))
    assert jobs <= begun <= jobs + kills * 10
    assert fleet.intact()
    return looks
