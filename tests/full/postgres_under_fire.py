"""The scenarios on PostgreSQL whose quick forms are ``tests/reliability/postgres``, in full size.

    python -m tests.full.postgres_under_fire            all of them, about an hour; exit code 1 if any fails
    python -m tests.full.postgres_under_fire S2 S6      some
    python -m tests.full.postgres_under_fire --scale 0.1 S2

A server of their own is started (see ``tests/servers/postgres.py``), and each scenario has a fresh ledger in it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.reliability.application import Quick
from tests.reliability.neighbours import CONCURRENCY, Neighbours, Work
from tests.reliability.postgres import scenarios
from tests.reliability.postgres.claim_costs import assert_flat
from tests.reliability.postgres.contention import everything_at_once
from tests.reliability.postgres.guessing import guess
from tests.reliability.postgres.processes import ServerFleet, work_unheard
from tests.reliability.postgres.transactions import transactions_that_end_anyhow
from tests.servers.ledgers import Ledgers
from tests.servers.postgres import PostgresServer, running_server

from cgk_jobs.engine.postgres.server import QUERIES
from cgk_jobs.engine.worker import POLL

HOUR = 3600.0


class Ground:
    """Where a scenario takes place. ``scale`` makes it smaller."""

    def __init__(self, server: PostgresServer, ledgers: Ledgers, fleet: ServerFleet, scale: float) -> None:
        self.server = server
        self.ledgers = ledgers
        self.fleet = fleet
        self._scale = scale

    def size(self, full: int, least: int = 1) -> int:
        """A size of the pass mark, scaled."""
        return max(round(full * self._scale), least)


def s2(ground: Ground) -> str:
    """8 workers, 100,000 jobs, a random kill every 0.5 s for 10 min."""
    found = scenarios.random_kills(
        ground.fleet, workers=8, jobs=ground.size(100_000), kills=ground.size(1_200, 6), every=0.5, limit=HOUR
    )
    found.verify()
    return str(found)


def s3(ground: Ground) -> str:
    """1,000 runs of a worker that is stopped for three leases and then reports success."""
    runs = ground.size(1_000, 10)
    scenarios.stopped_and_resumed(ground.fleet, runs=runs, lease=2.0, limit=HOUR)
    return f"{runs} of {runs} stale endings refused"


def s6(ground: Ground) -> str:
    """PostgreSQL restarted every 5 to 40 s, down for up to 2 s, while 10,000 workflows of 5 steps run."""
    chance = random.Random(6)

    def pause() -> None:
        time.sleep(chance.uniform(5, 40) * min(ground.size(100) / 100, 1))

    return str(
        scenarios.restarts(
            ground.fleet, ground.server, flows=ground.size(10_000, 200), steps=5, restarts=ground.size(40, 3), workers=4,
            pause=pause, limit=HOUR,
        )
    )  # fmt: skip


def s7(ground: Ground) -> str:
    """PostgreSQL restarted again and again while 250 runs are rescued."""
    scenarios.restart_during_rescue(ground.fleet, ground.server, runs=250, restarts=ground.size(6, 2), limit=120)
    return "250 of 250 done"


def s9(ground: Ground) -> str:
    """Every notification lost: runs start within the poll interval and 100 ms."""
    QUERIES["ring_bell"] = "SELECT"
    fleet = ground.fleet
    fleet.run(work_unheard, {"concurrency": 5})
    chance = random.Random(9)
    waits: list[float] = []
    for number in range(ground.size(500, 20)):
        time.sleep(chance.uniform(0, 2 * POLL))
        run = fleet.send(Quick(tenant_id="acme", number=number))
        fleet.result(run)
        record = fleet.rows("SELECT started_at - created_at FROM cgk_jobs.finished_runs ORDER BY seq DESC LIMIT 1")
        waits.append(record[0][0] / 1e6)
    p99 = sorted(waits[1:])[int(len(waits) * 0.99) - 1]
    assert p99 <= POLL + 0.1, f"p99 of the start delay: {p99:.3f} s"
    return f"p99 of the start delay {p99 * 1000:.0f} ms"


def s10(ground: Ground) -> str:
    """10,000 transactions of the application that send and end anyhow."""
    transactions_that_end_anyhow(ground.fleet, count=ground.size(10_000, 40), processes=ground.size(100, 3), limit=HOUR)
    return "no ghost, none lost"


def s16(ground: Ground) -> str:
    """1,000 rows finished, cancelled, pruned, retried and rescued at once for 10 min."""
    tally = everything_at_once(ground.fleet, runs=1_000, rounds=1, seconds=ground.size(600, 10), limit=HOUR)
    return f"{tally.deadlocks} deadlocks inside in {tally.transactions} transactions; {dict(tally.done)}"


def s18(ground: Ground) -> str:
    """50 workers, ten at a time and two of a tenant, with kills."""
    looks = scenarios.limits_under_fire(
        ground.fleet, workers=ground.size(50, 4), jobs=ground.size(10_000, 240), kills=ground.size(100, 3), limit=HOUR
    )
    return f"never 11 nor 3 in {looks} looks"


def s31(ground: Ground) -> str:
    """1,000,000 calls with the ids of another tenant."""
    calls = ground.size(1_000_000, 2_000)
    asyncio.run(guess(ground.fleet.database, calls=calls, seed=31))
    return f"{calls} calls answered nothing and changed nothing"


def s35(ground: Ground) -> str:
    """A pooled connection handed to another tenant after an error, a timeout, a cancel, a killed client: 1,000 times each."""
    rounds = ground.size(1_000, 2)
    # On a server of its own, since it makes roles of its own.
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", "s35", "tests/integration/tenancy/test_pool_mishaps.py"],
        env={**os.environ, "JOBS_TEST_ROUNDS": str(rounds)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5_000:] + done.stderr[-2_000:]
    return f"nothing was carried over in {rounds} rounds of each mishap, guard and pool: {done.stdout.splitlines()[-1]}"


def s37(ground: Ground) -> str:
    """A floods 100,000, B sends now and then; then both flood, 1:1 and 3:1."""
    flood = ground.size(100_000, 2_500)
    return asyncio.run(_neighbours(ground, flood))


async def _neighbours(ground: Ground, flood: int) -> str:
    neighbours = Neighbours(ground.ledgers.fresh().worker_url)
    sends = flood // 200
    await neighbours.flood("loud", flood)
    for number in range(sends):
        neighbours.on_start[50 + 100 * number] = Work(tenant_id="quiet", number=number)
    await neighbours.work(100 * sends + 100)
    await neighbours.jobs.stop(grace=0)
    neighbours.jobs.close()
    waited = sorted(neighbours.begun_at[number] - neighbours.sent_at[number] for number in range(sends))
    assert waited[int(len(waited) * 0.95)] <= 2 * CONCURRENCY, waited[-20:]
    shares: list[str] = []
    for weight in (1.0, 3.0):
        neighbours = Neighbours(ground.ledgers.fresh().worker_url)
        await neighbours.jobs.tenants.limit("loud", weight=weight)
        await neighbours.flood("loud", flood)
        await neighbours.flood("late", flood)
        begun = await neighbours.work(flood)
        await neighbours.jobs.stop(grace=0)
        neighbours.jobs.close()
        share = begun.count("loud") / len(begun)
        assert abs(share - weight / (weight + 1)) <= 0.05
        shares.append(f"{weight:g}:1 gave {share:.3f}")
    return f"at most {waited[-1]} others before a quiet tenant's run; {', '.join(shares)}"


def s38(ground: Ground) -> str:
    """What a claim touches with 10 and with 10,000 tenants."""
    return asyncio.run(assert_flat(ground.ledgers))


SCENARIOS: dict[str, Callable[[Ground], str]] = {
    "S2": s2, "S3": s3, "S6": s6, "S7": s7, "S9": s9, "S10": s10, "S16": s16, "S18": s18, "S31": s31, "S35": s35, "S37": s37, "S38": s38,
}  # fmt: skip


def main() -> int:
    """Run what the command line names; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.full.postgres_under_fire", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="S2", help=f"of {', '.join(SCENARIOS)}; all without one")
    parser.add_argument("--scale", type=float, default=1.0, help="a part of the full size, such as 0.1")
    chosen = parser.parse_args()
    unknown = set(chosen.scenarios) - set(SCENARIOS)
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    failed = 0
    for server in running_server():
        ledgers = Ledgers(server)
        for name in chosen.scenarios or SCENARIOS:
            failed += not _run(name, server, ledgers, chosen.scale)
        ledgers.close()
    return 1 if failed else 0


def _run(name: str, server: PostgresServer, ledgers: Ledgers, scale: float) -> bool:
    scenario = SCENARIOS[name]
    print(f"{name}: {scenario.__doc__}", flush=True)
    database = ledgers.fresh()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="cgk-jobs-fire-") as folder:
        fleet = ServerFleet(Path(folder), database)
        bell = QUERIES["ring_bell"]
        try:
            found = scenario(Ground(server, ledgers, fleet, scale))
        except Exception:
            print(f"{name}: FAILED after {time.perf_counter() - began:.0f} s", flush=True)
            traceback.print_exc()
            return False
        finally:
            QUERIES["ring_bell"] = bell
            fleet.close()
            ledgers.drop(database)
    print(f"{name}: {found} ({time.perf_counter() - began:.0f} s)", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
