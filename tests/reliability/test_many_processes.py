"""Several processes on one ledger: limits under fire, crowds, forks (S18, S19, S22)."""

from __future__ import annotations

import logging
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest
from tests.reliability.application import Limited, Quick, application
from tests.reliability.processes import Fleet, kill, until

from cgk_jobs import Sent

TENANTS = [f"tenant-{number}" for number in range(8)]


def test_s18_limits_hold_at_every_instant_while_workers_are_killed(fleet: Fleet) -> None:
    total = 320
    for number in range(total // len(TENANTS)):
        fleet.jobs.sync.send_many([Limited(tenant_id=tenant, number=number) for tenant in TENANTS])
    workers = [fleet.worker(concurrency=20, lease=1.0) for _ in range(3)]
    peak = peak_of_a_tenant = 0
    kills = 0

    def sample() -> bool:
        nonlocal peak, peak_of_a_tenant, kills
        # One statement: one instant of the ledger.
        running = dict(fleet.rows("SELECT tenant_id, count(*) FROM runs WHERE state = 'running' GROUP BY tenant_id"))
        peak = max(peak, sum(running.values()))
        peak_of_a_tenant = max(peak_of_a_tenant, *running.values(), 0)
        assert peak <= 10
        assert peak_of_a_tenant <= 2
        ended = fleet.rows("SELECT count(*) FROM runs WHERE state = 'completed'")[0][0]
        if kills < 3 and ended > (kills + 1) * total // 5 and running:
            kills += 1
            kill(workers.pop(0))
            workers.append(fleet.worker(concurrency=20, lease=1.0))
        return bool(ended == total)

    until(sample, "all runs completed")
    assert kills == 3
    # The sampler did see the limits being used.
    assert peak > 2
    assert peak_of_a_tenant == 2
    # No slot went down with a worker: one that did would block a tenant for good.
    assert fleet.rows("SELECT key, used FROM limits WHERE used != 0") == []
    begun = fleet.history.lines("limited")
    assert len(begun) <= total + 3 * 10
    assert fleet.intact()


def send_and_work(folder: Path, crowd: int, count: int) -> None:
    logging.basicConfig(filename=folder / "log", level=logging.WARNING)
    jobs = application(folder)
    jobs.sync.send_many([Quick(tenant_id=f"crowd-{crowd}", number=number) for number in range(count // 2)])
    for number in range(count // 2, count):
        jobs.sync.send(Quick(tenant_id=f"crowd-{crowd}", number=number))
    jobs.run()


def test_s19_eight_processes_send_and_work_without_a_lock_error_or_a_double_claim(fleet: Fleet) -> None:
    processes, each = 8, 120
    for crowd in range(processes):
        fleet.run(send_and_work, crowd, each)
    until(lambda: len(fleet.history.lines("quick")) >= processes * each, "every job ran")
    until(
        lambda: fleet.rows("SELECT count(*) FROM runs WHERE state = 'completed'") == [(processes * each,)],
        "every run completed",
    )
    runs = [line[2] for line in fleet.history.lines("quick")]
    assert len(runs) == len(set(runs)) == processes * each
    assert fleet.rows("SELECT max(claim), max(attempt) FROM runs") == [(1, 1)]
    assert len({line[3] for line in fleet.history.lines("quick")}) > 1
    assert fleet.complaints() == ""
    assert fleet.intact()


def fork_after_open(folder: Path) -> None:
    jobs = application(folder)
    jobs.sync.send(Quick(tenant_id="acme", number=0))
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=send_in_child, args=(jobs, number)) for number in range(1, 4)]
    for child in children:
        child.start()
    jobs.sync.send(Quick(tenant_id="acme", number=4))
    for child in children:
        child.join()
    jobs.history.write("children", *(child.exitcode for child in children))
    jobs.sync.send(Quick(tenant_id="acme", number=5))
    jobs.close()


def send_in_child(jobs: Any, number: int) -> None:
    # Nothing came with the fork.
    assert open_ledgers(jobs.folder) == 0
    sent = jobs.sync.send(Quick(tenant_id="acme", number=number))
    assert isinstance(sent, Sent)
    assert open_ledgers(jobs.folder) == 1


def open_ledgers(folder: Path) -> int:
    """How many descriptors of this process lead to the ledger's file."""
    count = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            count += descriptor.readlink() == folder / "jobs.db"
        except OSError:
            continue
    return count


def fork_and_close(folder: Path) -> None:
    """A parent that opens the ledger, forks, and closes it while its child goes on."""
    jobs = application(folder)
    jobs.sync.send(Quick(tenant_id="acme", number=0))
    reader, writer = os.pipe()
    child = multiprocessing.get_context("fork").Process(target=send_twice, args=(jobs, reader))
    child.start()
    until(lambda: jobs.history.lines("child", "1"), "the child sent for the first time")
    jobs.close()
    os.write(writer, b"!")
    child.join()


def send_twice(jobs: Any, reader: int) -> None:
    jobs.sync.send(Quick(tenant_id="acme", number=1))
    jobs.history.write("child", 1)
    os.read(reader, 1)
    jobs.sync.send(Quick(tenant_id="acme", number=2))
    jobs.history.write("child", 2)
    # No order at its end: what a send answered is there all the same.
    os._exit(0)


def test_s22_a_forked_child_loses_nothing_when_its_parent_closes_the_ledger(fleet: Fleet) -> None:
    """SQLite's locks belong to the process: a child that thought it had its parent's would see the log deleted."""
    fleet.run(fork_and_close).join()
    assert fleet.history.lines("child", "2")
    assert fleet.rows("SELECT count(*) FROM runs") == [(3,)]
    assert fleet.intact()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at the descriptors of a process")
def test_s22_a_child_forked_after_the_ledger_was_opened_opens_its_own(fleet: Fleet) -> None:
    parent = fleet.run(fork_after_open)
    parent.join()
    assert parent.exitcode == 0
    assert fleet.history.lines("children") == [["children", "0", "0", "0"]]
    assert fleet.intact()
    fleet.worker()
    until(lambda: len(fleet.history.lines("quick")) == 6, "every job ran")
    assert sorted(line[1] for line in fleet.history.lines("quick")) == list("012345")


def send_one(folder: Path) -> None:
    application(folder).sync.send(Quick(tenant_id="acme", number=os.getpid()))


def test_s22_a_spawned_process_works_on_the_same_ledger(fleet: Fleet) -> None:
    fleet.send(Quick(tenant_id="acme", number=0))
    child = multiprocessing.get_context("spawn").Process(target=send_one, args=(fleet.folder,))
    child.start()
    child.join()
    assert child.exitcode == 0
    fleet.worker()
    until(lambda: len(fleet.history.lines("quick")) == 2, "both jobs ran")
    assert {line[1] for line in fleet.history.lines("quick")} == {"0", str(child.pid)}
    assert fleet.intact()
