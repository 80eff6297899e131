"""The measures, each run in a process of its own: ``python -m cgk_jobs.benchmarks.measures NAME LEDGER COUNT``.

Everything is on that a real application has: validated events, 50 tenants in fair order, fences, history, the journal and
log of runs. Handlers do nothing. A measure prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable

from cgk_jobs import Context, Event, Jobs
from cgk_jobs.benchmarks.ledgers import BARE_TABLE
from cgk_jobs.benchmarks.machine import in_another_process, peak_mb
from cgk_jobs.benchmarks.scale import limited_runs, many_tenants, two_workers
from cgk_jobs.benchmarks.workflows import fan_out, long_runs, sleepers

__all__ = ["MEASURES", "Ping"]

TENANTS = 50
SENDERS = 64
_AT_ONCE = 500
"""Attempts at the same time where handlers do nothing: the fewer the exchanges with the ledger, the better."""
_HERE = "cgk_jobs.benchmarks.measures"


class Ping(Event, name="benchmark.ping"):
    """What is sent. ``sent_at``: monotonic nanoseconds."""

    number: int
    sent_at: int = 0


class Bench:
    """An application with one task that counts, and notes how late it started."""

    def __init__(self, ledger: str) -> None:
        self.jobs = Jobs(ledger)
        self.count = 0
        self.target = -1
        self.reached = asyncio.Event()
        self.waits: list[int] = []

        @self.jobs.task(on=Ping, id="ping")
        async def ping(event: Ping, ctx: Context) -> None:
            if event.sent_at:
                self.waits.append(time.monotonic_ns() - event.sent_at)
            self.count += 1
            if self.count == self.target:
                self.reached.set()

    async def finish(self, target: int) -> None:
        """Wait until ``target`` handlers have run and the ledger knows of it."""
        self.target = target
        if self.count < target:
            await self.reached.wait()
        running = self.jobs.running
        while running is not None and not running.idle:  # noqa: ASYNC110  # a turn or two: the last settlement's
            await asyncio.sleep(0)


def pings(count: int) -> list[Ping]:
    """Events of many tenants in turn."""
    return [Ping(tenant_id=f"tenant-{number % TENANTS}", number=number) for number in range(count)]


async def batch_sends(ledger: str, count: int) -> dict[str, float]:
    """Events stored a second, 1,000 in each ``send_many``; building them included."""
    bench = Bench(ledger)
    await bench.jobs.declare()
    begun = time.perf_counter()
    for first in range(0, count, 1_000):
        await bench.jobs.send_many(
            [Ping(tenant_id=f"tenant-{number % TENANTS}", number=number) for number in range(first, first + 1_000)]
        )
    return {"per_second": count / (time.perf_counter() - begun)}


async def sequential_sends(ledger: str, count: int) -> dict[str, float]:
    """Sends a second, each awaited before the next; on PostgreSQL also their share of what plain inserts reach in turns."""
    bench = Bench(ledger)
    await bench.jobs.declare()
    if ledger.startswith("sqlite"):
        begun = time.perf_counter()
        await _send_in_turn(bench, 0, count)
        return {"per_second": count / (time.perf_counter() - begun)}
    import asyncpg

    connection = await asyncpg.connect(ledger)
    plain = f"INSERT INTO public.{BARE_TABLE} (tenant_id, payload) VALUES ($1, $2) RETURNING id"  # noqa: S608 - a constant
    sending = inserting = 0.0
    for first in range(0, count, 10):
        begun = time.perf_counter()
        await _send_in_turn(bench, first, 10)
        between = time.perf_counter()
        for number in range(first, first + 10):
            await connection.fetchval(plain, f"tenant-{number % TENANTS}", f'{{"number":{number}}}')
        sending += between - begun
        inserting += time.perf_counter() - between
    await connection.close()
    return {"per_second": count / sending, "share_of_insert": inserting / sending}


async def _send_in_turn(bench: Bench, first: int, count: int) -> None:
    for number in range(first, first + count):
        await bench.jobs.send(Ping(tenant_id=f"tenant-{number % TENANTS}", number=number))


async def concurrent_sends(ledger: str, count: int) -> dict[str, float]:
    """Sends a second by 64 senders, each awaiting its own."""
    bench = Bench(ledger)
    await bench.jobs.declare()

    async def sender(number: int) -> None:
        for turn in range(count // SENDERS):
            await bench.jobs.send(Ping(tenant_id=f"tenant-{number % TENANTS}", number=turn))

    begun = time.perf_counter()
    await asyncio.gather(*[sender(number) for number in range(SENDERS)])
    return {"per_second": count // SENDERS * SENDERS / (time.perf_counter() - begun)}


async def runs_finished(ledger: str, count: int) -> dict[str, float]:
    """Runs claimed, executed and settled a second by one worker process, and the most memory it had."""
    await in_another_process(_HERE, "fill", ledger, count)
    bench = Bench(ledger)
    begun = time.perf_counter()
    await bench.jobs.start(concurrency=_AT_ONCE)
    await bench.finish(count)
    seconds = time.perf_counter() - begun
    await bench.jobs.stop()
    return {"per_second": count / seconds, "peak_mb": peak_mb()}


async def fill(ledger: str, count: int) -> None:
    """Store ``count`` events."""
    bench = Bench(ledger)
    for first in range(0, count, 1_000):
        await bench.jobs.send_many(pings(min(1_000, count - first)))
    bench.jobs.close()


async def start_same_process(ledger: str, count: int) -> dict[str, float]:
    """Milliseconds from the call of ``send`` to the handler's first line, sender and worker on one loop."""
    bench = Bench(ledger)
    await bench.jobs.start()
    await _send_slowly(bench, count)
    await bench.finish(count)
    await bench.jobs.stop()
    return percentiles(bench.waits)


async def start_other_process(ledger: str, count: int) -> dict[str, float]:
    """Milliseconds from the call of ``send`` to the handler's first line in another process."""
    bench = Bench(ledger)
    await bench.jobs.start()
    sending = asyncio.create_task(in_another_process(_HERE, "send_slowly", ledger, count))
    await bench.finish(count)
    await sending
    await bench.jobs.stop()
    return percentiles(bench.waits)


async def send_slowly(ledger: str, count: int) -> None:
    """Send ``count`` events with pauses, from a process without workers."""
    bench = Bench(ledger)
    await _send_slowly(bench, count)
    bench.jobs.close()


async def _send_slowly(bench: Bench, count: int) -> None:
    for number in range(count):
        await asyncio.sleep(0.003)
        tenant = f"tenant-{number % TENANTS}"
        await bench.jobs.send(Ping(tenant_id=tenant, number=number, sent_at=time.monotonic_ns()))


def percentiles(nanoseconds: list[int]) -> dict[str, float]:
    """p50, p95 and p99 in milliseconds."""
    ordered = sorted(nanoseconds)
    last = len(ordered) - 1
    return {f"p{share}_ms": ordered[round(last * share / 100)] / 1e6 for share in (50, 95, 99)}


Measure = Callable[[str, int], Awaitable[dict[str, float]]]
MEASURES: dict[str, tuple[Measure, int]] = {
    "runs finished": (runs_finished, 60_000),
    "runs finished by two": (two_workers, 60_000),
    "10,000 tenants": (many_tenants, 20_000),
    "with a limit": (limited_runs, 20_000),
    "sequential sends": (sequential_sends, 15_000),
    "64 concurrent senders": (concurrent_sends, 64_000),
    "batch sends": (batch_sends, 60_000),
    "start, same process": (start_same_process, 500),
    "start, other process": (start_other_process, 500),
    "steps": (long_runs, 1_000),
    "fan-out": (fan_out, 10_000),
    "sleepers": (sleepers, 20_000),
}
"""Each measure and how many events it takes."""


def main() -> None:
    """Run one measure and print its figures."""
    logging.disable()
    name, ledger, count = sys.argv[1:4]
    result = asyncio.run(_run(name, ledger, int(count)))
    sys.stdout.write(json.dumps(result) + "\n")


async def _run(name: str, ledger: str, count: int) -> dict[str, float]:
    return await MEASURES[name][0](ledger, count)


if __name__ == "__main__":
    main()
