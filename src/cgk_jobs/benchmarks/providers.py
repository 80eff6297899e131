"""What waking by a provider costs: ``python -m cgk_jobs.benchmarks.providers [NAME …]``.

For each provider how long it takes from a send to the handler, one at a time, and runs finished a second; the hosted services are
their doubles on this machine, BullMQ the Redis at ``REDIS_URL``. Beside BullMQ's figure, in turns with it, the same number of jobs in
a bare BullMQ worker, which keeps no ledger. Handlers do nothing; the ledger is a SQLite file.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import statistics
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cgk_jobs import Event, Jobs
from cgk_jobs.providers.registry import create_provider
from cgk_jobs.settings import Settings
from cgk_jobs.testing.peers.loopback import Loopback
from cgk_jobs.testing.peers.services import HOSTED, vendor

__all__ = ["main"]

ONE_BY_ONE = 200
TOGETHER = 3_000
REPETITIONS = 3
CONCURRENCY = 100


class Woken(Event, name="benchmark.woken"):
    """``sent_at``: monotonic nanoseconds."""

    number: int
    sent_at: int


class _Door:
    app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class _Count:
    def __init__(self) -> None:
        self.done, self.target = 0, -1
        self.reached = asyncio.Event()
        self.waits: list[float] = []

    def one(self, sent_at: int) -> None:
        self.done += 1
        self.waits.append((time.monotonic_ns() - sent_at) / 1e6)
        if self.done == self.target:
            self.reached.set()

    async def until(self, target: int) -> None:
        self.target = target
        if self.done < target:
            self.reached.clear()
            await self.reached.wait()


async def _through(provider: str) -> tuple[list[float], float]:
    """Milliseconds from send to handler, one at a time; and runs finished a second."""
    door, count = _Door(), _Count()
    with tempfile.TemporaryDirectory(prefix="cgk-jobs-bench-") as folder:
        async with Loopback(door) as server, vendor(provider, server.url) as found:
            path = Path(folder) / "jobs.db"
            settings = Settings(
                provider=provider, database=path, full_sync=False, app=f"bench{uuid.uuid4().hex[:8]}", folder=Path(folder),
                ledger=str(path), public_url=server.url, signing_keys=found.signing_keys, values=dict(found.values),
            )  # fmt: skip
            jobs = Jobs(create_provider(settings))

            @jobs.task(on=Woken)
            async def note(event: Woken) -> None:
                count.one(event.sent_at)

            await jobs.declare()
            door.app = jobs.asgi()
            if not found.on_call:
                await jobs.start(concurrency=CONCURRENCY)
            for number in range(ONE_BY_ONE):
                await jobs.send(Woken(tenant_id="acme", number=number, sent_at=time.monotonic_ns()))
                await count.until(number + 1)
            waits = count.waits[ONE_BY_ONE // 10 :]
            begun = time.perf_counter()
            for first in range(0, TOGETHER, 500):
                now = time.monotonic_ns()
                await jobs.send_many(
                    [
                        Woken(tenant_id=f"t{number % 20}", number=number, sent_at=now)
                        for number in range(first, first + 500)
                    ]
                )
            await count.until(ONE_BY_ONE + TOGETHER)
            took = time.perf_counter() - begun
            await jobs.stop()
            jobs.close()
    return waits, TOGETHER / took


async def _bare_bullmq() -> float:
    """Jobs a second of a bare BullMQ queue and worker in this process."""
    from bullmq import Queue, Worker  # pyright: ignore[reportMissingTypeStubs]

    url, name = os.environ["REDIS_URL"], f"bench-{uuid.uuid4().hex[:8]}"
    count = _Count()

    async def process(job: Any, token: str) -> None:
        count.one(time.monotonic_ns())

    made: Any = Worker  # its types want a future where a coroutine is meant

    queue: Any = Queue(name, {"connection": url})
    begun = time.perf_counter()
    worker: Any = made(name, process, {"connection": url, "concurrency": CONCURRENCY})
    for first in range(0, TOGETHER, 500):
        await queue.addBulk([{"name": "x", "data": {"number": number}} for number in range(first, first + 500)])
    await count.until(TOGETHER)
    took = time.perf_counter() - begun
    await worker.close()
    await queue.obliterate(force=True)
    await queue.close()
    return TOGETHER / took


async def _measure(names: Sequence[str]) -> None:
    for name in names:
        waits: list[float] = []
        rates: list[float] = []
        bare: list[float] = []
        for _ in range(REPETITIONS):
            some, rate = await _through(name)
            waits += some
            rates.append(rate)
            if name == "bullmq":
                bare.append(await _bare_bullmq())
        line = f"{name:12} send to handler p50 {statistics.median(waits):.1f} ms, p95 {sorted(waits)[int(len(waits) * 0.95)]:.1f} ms; "
        line += f"{statistics.median(rates):,.0f} runs/s ({min(rates):,.0f} to {max(rates):,.0f})"
        if bare:
            line += (
                f"; a bare BullMQ worker {statistics.median(bare):,.0f} jobs/s ({min(bare):,.0f} to {max(bare):,.0f})"
            )
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    """Measure these providers, or all."""
    logging.disable()
    warnings.simplefilter("ignore")
    names = list(arguments) or list(HOSTED)
    if unknown := [name for name in names if name not in HOSTED]:
        sys.stderr.write(f"no provider {', '.join(unknown)}; there are {', '.join(HOSTED)}\n")
        return 2
    asyncio.run(_measure(names))
    sys.stdout.write(
        f"Python {platform.python_version()}, {os.cpu_count()} cores; medians of {REPETITIONS}, {TOGETHER:,} runs each\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
