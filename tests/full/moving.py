"""50,000 live runs are moved to another provider and back while they run; workers and the move itself are killed meanwhile.

python -m tests.full.moving                 exit code 1 if a run is lost, an effect is doubled, or a key's order is not kept
python -m tests.full.moving --runs 5000

Embedded to BullMQ and back, on a Redis of its own. Two worker processes; a worker is killed with SIGKILL and replaced five times, the
process that moves five times. An effect is written under the idempotency key of its step, as an effect outside the ledger must be.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import random
import sqlite3
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncGenerator
from pathlib import Path
from time import perf_counter

from tests.servers.redis import RedisServer

from cgk_jobs import Context, Event, Jobs, Send, across_tenants
from cgk_jobs.providers.moving import move
from cgk_jobs.providers.registry import create_provider
from cgk_jobs.settings import Settings

RUNS = 50_000
KILLS = 5
TENANTS, KEYS = 20, 50


class Moved(Event, name="full.moved"):
    number: int


class InLine(Event, name="full.in_line"):
    number: int
    line: str


def make(folder: Path, redis_url: str) -> Jobs:
    path = folder / "jobs.db"
    settings = Settings(
        provider="embedded", database=path, full_sync=False, app="moving", folder=folder, ledger=str(path),
        values={"REDIS_URL": redis_url},
    )  # fmt: skip
    jobs = Jobs(create_provider(settings))
    effects = sqlite3.connect(folder / "effects.db", timeout=60, isolation_level=None)
    effects.execute("PRAGMA journal_mode = WAL")
    effects.execute("PRAGMA synchronous = off")
    effects.execute("CREATE TABLE IF NOT EXISTS effects (key TEXT PRIMARY KEY, number INTEGER, line TEXT, at INTEGER)")

    def effect(key: str, number: int, line: str) -> None:
        effects.execute(
            "INSERT OR IGNORE INTO effects VALUES (?, ?, ?, (SELECT coalesce(max(at), 0) + 1 FROM effects WHERE line = ?))",
            (key, number, line, line),
        )

    @jobs.task(on=Moved, id="moved")
    async def moved(event: Moved, ctx: Context) -> None:
        if event.number % 10 == 1:
            await ctx.sleep(1)
        await ctx.step("effect", effect, ctx.idempotency_key("effect"), event.number, "")

    @jobs.task(on=InLine, id="in-line", ordered_by="line")
    async def in_line(event: InLine, ctx: Context) -> None:
        await ctx.step("effect", effect, ctx.idempotency_key("effect"), event.number, event.line)

    return jobs


async def work(folder: Path, redis_url: str) -> None:
    jobs = make(folder, redis_url)
    await jobs.start(concurrency=100)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await jobs.stop()
    jobs.close()


async def shift(folder: Path, redis_url: str, target: str) -> None:
    jobs = make(folder, redis_url)
    with across_tenants(reason="a move is the installation's"):
        async with contextlib.aclosing(move(jobs.mover(), target, timeout=900)) as reports:
            async for report in reports:
                sys.stdout.write(f"{report.stage} {report.left}\n")
                sys.stdout.flush()
    jobs.close()


async def _process(folder: Path, redis_url: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.full.moving", "--process", str(folder), redis_url, *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def _worker(folder: Path, redis_url: str) -> asyncio.subprocess.Process:
    process = await _process(folder, redis_url, "work")
    assert process.stdout is not None
    assert (await process.stdout.readline()).strip() == b"ready"
    return process


@contextlib.asynccontextmanager
async def _killing(folder: Path, redis_url: str) -> AsyncGenerator[list[asyncio.subprocess.Process]]:
    """Two workers, of which one is killed and replaced now and then."""
    workers = [await _worker(folder, redis_url) for _ in range(2)]

    async def kill() -> None:
        for _ in range(KILLS):
            await asyncio.sleep(random.uniform(2, 4))
            victim = workers.pop(0)
            victim.kill()
            await victim.wait()
            workers.append(await _worker(folder, redis_url))

    killing = asyncio.create_task(kill())
    try:
        yield workers
        await killing
    finally:
        killing.cancel()
        for process in workers:
            if process.stdin is not None:
                process.stdin.close()
            await process.wait()


async def _move_under_fire(folder: Path, redis_url: str, target: str, kills: int) -> None:
    for _ in range(kills):
        process = await _process(folder, redis_url, "move", target)
        assert process.stdout is not None
        await process.stdout.readline()  # it has begun
        process.kill()
        await process.wait()
    process = await _process(folder, redis_url, "move", target)
    out, _ = await process.communicate()
    assert process.returncode == 0, out


async def fire(runs: int) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        server = RedisServer(folder, durable=True)
        server.start()
        jobs = make(folder, server.url)
        lined = runs // 10
        items = [
            Send(Moved(tenant_id=f"t{n % TENANTS}", number=n), delay=(n % 5) * 4 or None) for n in range(runs - lined)
        ] + [Send(InLine(tenant_id=f"t{n % TENANTS}", number=n, line=f"l{n % KEYS}")) for n in range(lined)]
        async with _killing(folder, server.url):
            there: asyncio.Task[None] | None = None
            for first in range(0, len(items), 1_000):
                await jobs.send_many(items[first : first + 1_000])
                if first == len(items) // 4 // 1_000 * 1_000:
                    there = asyncio.create_task(_move_under_fire(folder, server.url, "bullmq", KILLS - 2))
            assert there is not None
            await there
            await _move_under_fire(folder, server.url, "embedded", 2)
            with across_tenants(reason="the end is waited for"):
                while (counts := await jobs.runs.count()).get("completed", 0) < runs:  # noqa: ASYNC110
                    await asyncio.sleep(0.5)
        jobs.close()
        server.kill()
        with contextlib.closing(sqlite3.connect(folder / "effects.db")) as effects:
            done = effects.execute("SELECT count(*), count(DISTINCT line || '/' || number) FROM effects").fetchone()
            lines: defaultdict[str, list[int]] = defaultdict(list)
            for line, number in effects.execute("SELECT line, number FROM effects WHERE line != '' ORDER BY line, at"):
                lines[line].append(number)
    by_tenant: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for line, numbers in lines.items():
        for number in numbers:
            by_tenant[line, number % TENANTS].append(number)
    unordered = sum(numbers != sorted(numbers) for numbers in by_tenant.values())
    return {
        "runs": sum(counts.values()), "completed": counts.get("completed", 0), "lost": runs - done[1], "doubled": done[0] - done[1],
        "lines": len(by_tenant), "unordered": unordered,
    }  # fmt: skip


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Move live runs between providers, under fire.")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--process", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    if options.process:
        folder, redis_url, what, *more = options.process
        asyncio.run(work(Path(folder), redis_url) if what == "work" else shift(Path(folder), redis_url, *more))
        return 0
    began = perf_counter()
    found = asyncio.run(fire(options.runs))
    print(", ".join(f"{count:,} {what}" for what, count in found.items()), f"in {perf_counter() - began:.0f} s")
    return 1 if found["lost"] or found["doubled"] or found["unordered"] or found["completed"] != options.runs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
