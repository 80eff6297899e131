"""asyncpg against psycopg 3 on what the ledger asks of a driver: ``python -m cgk_jobs.benchmarks.drivers URL [ROUNDS]``.

Rows go into a temporary table, so nothing is left behind and the disk takes no part. Both drivers use prepared statements, one
connection, and no transaction of their own around a statement. Rounds alternate; of each measure the best round counts.
Prints one JSON object: for each measure and driver, operations a second and microseconds of this process's CPU time each.
Needs ``psycopg[binary]`` beside the extra ``postgres``.
"""

from __future__ import annotations

import asyncio
import json
import platform
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from typing import Any, LiteralString, Protocol

import asyncpg

__all__ = ["MEASURES", "compare"]

BATCH = 500
"""Rows of a batch."""
_PAYLOAD = '{"order_id":"A-1042","lines":[{"sku":"cup","count":2},{"sku":"pot","count":1}],"total_cents":4300}'

TABLE: LiteralString = """
CREATE TEMP TABLE driver_runs (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant_id text NOT NULL, task text NOT NULL, state text NOT NULL,
    vstart double precision NOT NULL, claim bigint NOT NULL DEFAULT 0, payload text NOT NULL
)"""
INDEX: LiteralString = "CREATE INDEX ON driver_runs (vstart) WHERE state = 'queued'"
INSERT: LiteralString = (
    "INSERT INTO driver_runs (tenant_id, task, state, vstart, payload) VALUES ({}, {}, 'queued', {}, {}) RETURNING seq"
)
INSERT_MANY: LiteralString = """
INSERT INTO driver_runs (tenant_id, task, state, vstart, payload)
SELECT t, k, 'queued', v, p FROM unnest({}::text[], {}::text[], {}::float8[], {}::text[]) AS s (t, k, v, p) RETURNING seq"""
CLAIM: LiteralString = """
UPDATE driver_runs SET state = 'running', claim = claim + 1 WHERE seq IN (
    SELECT seq FROM driver_runs WHERE state = 'queued' ORDER BY vstart LIMIT {} FOR UPDATE SKIP LOCKED)
RETURNING seq, tenant_id, task, claim, vstart, payload"""
MAKE_READY: LiteralString = "UPDATE driver_runs SET state = 'queued' WHERE state = 'running'"


class Driver(Protocol):
    """One connection by one driver. Statements have ``{}`` for each parameter."""

    async def run(self, statement: LiteralString) -> None:
        """Run a statement without parameters."""
        ...

    async def rows(self, statement: LiteralString, *values: Any) -> Sequence[Any]:
        """Run a prepared statement."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


class Asyncpg:
    """As the ledger uses it."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection
        self._statements: dict[str, str] = {}

    @classmethod
    async def open(cls, url: str) -> Asyncpg:
        """Connect."""
        return cls(await asyncpg.connect(url, max_cached_statement_lifetime=0))

    async def run(self, statement: LiteralString) -> None:
        await self._connection.execute(statement)

    async def rows(self, statement: LiteralString, *values: Any) -> Sequence[Any]:
        text = self._statements.get(statement)
        if text is None:
            text = self._statements[statement] = statement.format(*[f"${n}" for n in range(1, len(values) + 1)])
        return await self._connection.fetch(text, *values)

    async def close(self) -> None:
        await self._connection.close()


class Psycopg:
    """psycopg 3 with its C part, binary results and statements prepared at first use."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._cursor = connection.cursor(binary=True)
        self._statements: dict[str, bytes] = {}

    @classmethod
    async def open(cls, url: str) -> Psycopg:
        """Connect."""
        import psycopg

        return cls(await psycopg.AsyncConnection.connect(url, autocommit=True, prepare_threshold=0))

    async def run(self, statement: LiteralString) -> None:
        await self._connection.execute(statement)

    async def rows(self, statement: LiteralString, *values: Any) -> Sequence[Any]:
        text = self._statements.get(statement)
        if text is None:
            text = self._statements[statement] = statement.format(*["%b"] * len(values)).encode()
        cursor = await self._cursor.execute(text, values)
        found: Sequence[Any] = await cursor.fetchall()
        return found

    async def close(self) -> None:
        await self._connection.close()


async def single_inserts(driver: Driver, count: int) -> int:
    """Rows inserted one by one, each awaited: a send."""
    for number in range(count):
        await driver.rows(INSERT, f"tenant-{number % 50}", "welcome", float(number), _PAYLOAD)
    return count


async def batch_inserts(driver: Driver, count: int) -> int:
    """Batches of 500 rows by unnest: a ``send_many``."""
    for _ in range(count):
        columns = [f"tenant-{n % 50}" for n in range(BATCH)], ["welcome"] * BATCH, [float(n) for n in range(BATCH)]
        rows = await driver.rows(INSERT_MANY, *columns, [_PAYLOAD] * BATCH)
        assert len(rows) == BATCH  # noqa: S101
    return count


async def claims(driver: Driver, count: int) -> int:
    """500 rows found, updated and returned: a claim."""
    for turn in range(count):
        if turn % 10 == 0:
            await driver.run(MAKE_READY)
        rows = await driver.rows(CLAIM, BATCH)
        assert len(rows) == BATCH  # noqa: S101
    return count


MEASURES: dict[str, tuple[Callable[[Driver, int], Awaitable[int]], int]] = {
    "single_inserts": (single_inserts, 2_000),
    "batch_inserts_of_500": (batch_inserts, 20),
    "claims_of_500": (claims, 20),
}
"""Each with how many operations a round has."""


async def compare(url: str, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """By measure and driver: ``per_second`` and ``cpu_us``."""
    opening: dict[str, Callable[[str], Awaitable[Driver]]] = {"asyncpg": Asyncpg.open, "psycopg": Psycopg.open}
    found: dict[str, dict[str, dict[str, float]]] = {name: {} for name in MEASURES}
    for _ in range(rounds):
        for driver_name, open_driver in opening.items():
            driver = await open_driver(url)
            await driver.run(TABLE)
            await driver.run(INDEX)
            for name, (measure, count) in MEASURES.items():
                await measure(driver, 10)
                wall, cpu = time.perf_counter(), time.process_time()
                done = await measure(driver, count)
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                best = found[name].setdefault(driver_name, {"per_second": 0.0, "cpu_us": float("inf")})
                best["per_second"] = round(max(best["per_second"], done / wall), 1)
                best["cpu_us"] = round(min(best["cpu_us"], cpu / done * 1e6), 1)
            await driver.close()
    return found


def main(arguments: Sequence[str]) -> None:
    """Compare and print."""
    if not 1 <= len(arguments) <= 2:
        sys.exit("usage: python -m cgk_jobs.benchmarks.drivers postgresql://user@host/database [ROUNDS]")
    rounds = int(arguments[1]) if len(arguments) == 2 else 5
    measured = asyncio.run(compare(arguments[0], rounds))
    about = {"python": platform.python_version(), "asyncpg": version("asyncpg"), "psycopg": version("psycopg")}
    sys.stdout.write(json.dumps({"measures": measured, "with": about}, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
