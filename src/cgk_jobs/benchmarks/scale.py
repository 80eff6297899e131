"""Measures of what should cost nothing: many tenants, a limit that is never reached; and of a second worker process."""

from __future__ import annotations

import asyncio
import json
import sys
import time

from cgk_jobs import Event, Jobs, Limit
from cgk_jobs.benchmarks.machine import in_another_process

__all__ = ["drain", "fill_few", "fill_many", "limited_runs", "many_tenants", "two_workers"]

FEW, MANY = 10, 10_000
"""Tenants."""
AT_ONCE = 500
_QUIET = 0.5
"""Seconds without a run after which a worker takes the ledger for empty."""
_HERE = "cgk_jobs.benchmarks.scale"


class Plain(Event, name="benchmark.plain"):
    """A run without limits."""


class Limited(Event, name="benchmark.limited"):
    """A run of a task with a limit."""


class _Count:
    def __init__(self) -> None:
        self.runs = 0
        self.first = self.last = 0.0

    def one(self) -> None:
        self.last = time.monotonic()
        self.first = self.first or self.last
        self.runs += 1


def _application(ledger: str) -> tuple[Jobs, _Count]:
    jobs = Jobs(ledger)
    count = _Count()

    @jobs.task(on=Plain)
    async def plain(event: Plain) -> None:
        count.one()

    @jobs.task(on=Limited, concurrency=Limit(AT_ONCE, per="tenant"))
    async def limited(event: Limited) -> None:
        count.one()

    return jobs, count


async def _fill(ledger: str, kind: type[Event], tenants: int, count: int) -> None:
    jobs, _ = _application(ledger)
    for first in range(0, count, 1_000):
        await jobs.send_many(
            [kind(tenant_id=f"tenant-{number % tenants}") for number in range(first, min(first + 1_000, count))]
        )
    jobs.close()


async def fill_few(ledger: str, count: int) -> None:
    """Store ``count`` events of few tenants."""
    await _fill(ledger, Plain, FEW, count)


async def fill_many(ledger: str, count: int) -> None:
    """Store ``count`` events of many tenants."""
    await _fill(ledger, Plain, MANY, count)


async def fill_limited(ledger: str, count: int) -> None:
    """Store ``count`` events of a task with a limit."""
    await _fill(ledger, Limited, FEW, count)


async def _drained(ledger: str, count: int) -> float:
    """Runs a second of one worker process, from the first run to the last."""
    jobs, counted = _application(ledger)
    await jobs.start(concurrency=AT_ONCE)
    await _until_quiet(counted, count)
    await jobs.stop()
    jobs.close()
    return count / (counted.last - counted.first)


async def _until_quiet(counted: _Count, count: int) -> None:
    while counted.runs < count and not (counted.last and time.monotonic() - counted.last > _QUIET):  # noqa: ASYNC110
        await asyncio.sleep(0.005)


async def _in_turns(ledger: str, count: int, fills: dict[str, str]) -> dict[str, float]:
    # In turns and in one ledger, so that both meet the same machine; the first turn warms up.
    rates: dict[str, list[float]] = {name: [] for name in fills}
    for _ in range(3):
        for name, fill in fills.items():
            await in_another_process(_HERE, fill, ledger, count)
            rates[name].append(await _drained(ledger, count))
    return {name: max(found[1:]) for name, found in rates.items()}


async def many_tenants(ledger: str, count: int) -> dict[str, float]:
    """Runs a second with 10,000 tenants, and what share that is of the rate with 10."""
    rates = await _in_turns(ledger, count, {"few": "fill_few", "many": "fill_many"})
    return {"per_second": rates["many"], "share_of_few": rates["many"] / rates["few"]}


async def limited_runs(ledger: str, count: int) -> dict[str, float]:
    """Runs a second of a task with a limit for each tenant, and what share that is of the rate without."""
    rates = await _in_turns(ledger, count, {"plain": "fill_few", "limited": "fill_limited"})
    return {"per_second": rates["limited"], "share_of_plain": rates["limited"] / rates["plain"]}


async def two_workers(ledger: str, count: int) -> dict[str, float]:
    """Runs a second of two worker processes together, from the first run of either to the last."""
    await in_another_process(_HERE, "fill_few", ledger, count)
    code = f"import asyncio,sys; from {_HERE} import drain; asyncio.run(drain(sys.argv[1], int(sys.argv[2])))"
    workers = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            code,
            ledger,
            str(count),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for worker in workers:
        if worker.stdout is None or await worker.stdout.readline() != b"ready\n":
            raise RuntimeError("a worker process did not start")
    answers = [json.loads((await worker.communicate(b"go\n"))[0]) for worker in await _all_told(workers)]
    done = sum(answer["runs"] for answer in answers)
    if done != count:
        raise RuntimeError(f"{count} runs were sent, and {done} were done")
    return {"per_second": count / (max(one["last"] for one in answers) - min(one["first"] for one in answers))}


async def _all_told(workers: list[asyncio.subprocess.Process]) -> list[asyncio.subprocess.Process]:
    for worker in workers:
        if worker.stdin is not None:
            worker.stdin.write(b"go\n")
            await worker.stdin.drain()
    return workers


async def drain(ledger: str, count: int) -> None:
    """Be one of two workers: say that it is ready, wait for the word, work until nothing is left, say what was done."""
    jobs, counted = _application(ledger)
    await jobs.declare()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    await jobs.start(concurrency=AT_ONCE)
    await _until_quiet(counted, count)
    await jobs.stop()
    sys.stdout.write(json.dumps({"runs": counted.runs, "first": counted.first, "last": counted.last}) + "\n")
