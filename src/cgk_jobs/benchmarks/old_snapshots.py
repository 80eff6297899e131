"""Claims beside a long history and an old transaction: ``python -m cgk_jobs.benchmarks.old_snapshots URL [FINISHED] [RUNS]``.

An open transaction keeps every dead row it might still see, so what claims and settlements leave behind piles up where the
next claim looks. ``FINISHED`` ended runs (a million) lie in the history. Then a transaction is opened, and ``RUNS`` runs are
claimed and settled beside it: 600,000, what ten minutes leave at a thousand a second, done here as fast as it goes. ``URL``:
a PostgreSQL server's, with a login that may make databases. Prints one JSON object: at each stage, the milliseconds of a
claim of up to 100 out of a backlog (``backlog``), and of one from a queue that has a single run (``single``).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncGenerator, Sequence

import asyncpg

from cgk_jobs.clock import SystemClock
from cgk_jobs.engine.postgres.address import parse_address
from cgk_jobs.engine.postgres.scratch import scratch_ledger
from cgk_jobs.engine.postgres.server import Connection
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.engine.records import Appetite, Claim, NewEvent, Settlement, Subscription

__all__ = ["measure"]

TENANTS = 50
WANTED = 100
"""Runs asked for by a measured claim."""
CLAIMS = 300
"""Measured claims of each kind at each stage."""
_AT_ONCE = 500
_PIECE = 10_000
"""Runs sent before they are worked off: a queue that is neither empty nor endless."""
_FINISHED = """
INSERT INTO cgk_jobs.finished_runs (seq, nonce, event_seq, claim, created_at, started_at, finished_at, event_version, attempt, rank,
    lane, tenant_id, task, queue, state, event_name, payload, tags)
SELECT n, n, n, 1, at, at, at, 1, 1, 0, 0, 'tenant-' || n % 50, 'work', 'default', 'completed', 'benchmark.work', '{}', ''
FROM generate_series(1, $1::bigint) AS n, (SELECT (extract(epoch FROM now()) * 1000000)::bigint AS at) AS moment"""


class _Site:
    """A sender and a worker, without handlers: what is measured is the ledger."""

    def __init__(self, store: PostgresStore, worker: int) -> None:
        self._store = store
        self._worker = worker
        self._claims: list[Claim] = []

    async def send(self, count: int) -> None:
        await self._store.insert(
            [NewEvent(f"tenant-{number % TENANTS}", "benchmark.work", 1, '{"number":1}') for number in range(count)]
        )

    async def exchange(self, wanted: int) -> float:
        """Settle what was claimed last and claim anew; the milliseconds it took."""
        settlements = [Settlement(claim, "completed", claim.attempt, "null") for claim in self._claims]
        begun = time.perf_counter()
        answer = await self._store.exchange(self._worker, settlements, Appetite(("default",), wanted, {"work": None}))
        taken = time.perf_counter() - begun
        self._claims = answer.claims
        return taken * 1e3

    async def work_off(self, count: int) -> None:
        for first in range(0, count, _PIECE):
            await self.send(min(_PIECE, count - first))
            await self.exchange(_AT_ONCE)
            while self._claims:
                await self.exchange(_AT_ONCE)

    async def claims(self) -> dict[str, dict[str, float]]:
        await self.send(CLAIMS * WANTED)
        backlog = [await self.exchange(WANTED) for _ in range(CLAIMS)]
        while self._claims:
            await self.exchange(_AT_ONCE)
        single: list[float] = []
        for _ in range(CLAIMS):
            await self.send(1)
            single.append(await self.exchange(WANTED))
        await self.exchange(WANTED)
        return {"backlog": _shares(backlog), "single": _shares(single)}


def _shares(found: Sequence[float]) -> dict[str, float]:
    ordered = sorted(found)
    return {f"p{share}_ms": round(ordered[round((len(ordered) - 1) * share / 100)], 2) for share in (50, 95, 99)}


@contextlib.asynccontextmanager
async def _open_transaction(connection: Connection) -> AsyncGenerator[None]:
    # The worker's login is one that may not forget a transaction like this.
    await connection.execute("SET idle_in_transaction_session_timeout = 0")
    async with connection.transaction(isolation="repeatable_read"):
        await connection.fetch("SELECT version FROM cgk_jobs.configuration")
        yield


async def measure(server: str, finished: int, runs: int) -> dict[str, dict[str, dict[str, float]]]:
    """Claims in a fresh ledger, with ``finished`` runs in its history, and after ``runs`` more beside an open transaction."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    async with scratch_ledger(server, "snapshots") as ledger:
        store = PostgresStore(ledger.worker_url, SystemClock())
        connection = await asyncpg.connect(parse_address(ledger.worker_url).dsn)
        try:
            await store.subscribe([Subscription("work", "benchmark.work", "default", 0, 0, None, "")])
            seat = await store.take_seat(["default"], _AT_ONCE, 3_600)
            site = _Site(store, seat.id)
            await site.claims()  # warms up
            found["fresh"] = await site.claims()
            await connection.execute(_FINISHED, finished, timeout=600)
            found["history"] = await site.claims()
            async with _open_transaction(connection):
                await site.work_off(runs)
                found["old_transaction"] = await site.claims()
            await seat.leave()
        finally:
            await connection.close()
            store.close()
    return found


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    if not 1 <= len(arguments) <= 3:
        sys.exit("usage: python -m cgk_jobs.benchmarks.old_snapshots postgresql://user@host/database [FINISHED] [RUNS]")
    finished = int(arguments[1]) if len(arguments) > 1 else 1_000_000
    runs = int(arguments[2]) if len(arguments) > 2 else 600_000
    found = asyncio.run(measure(arguments[0], finished, runs))
    sys.stdout.write(json.dumps({"claims": found, "finished": finished, "runs": runs}, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
