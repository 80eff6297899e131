"""S10: orders and their jobs, sent in one transaction each, which commits, rolls back, or dies with its process or session."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import psycopg
from tests.reliability.postgres.application import Order, served
from tests.reliability.postgres.processes import ServerFleet, until_within

__all__ = ["transactions_that_end_anyhow"]

ENDINGS = ("commit", "rollback", "exception", "lost session")


class NoStock(Exception):
    """The application's own."""


def transactions_that_end_anyhow(fleet: ServerFleet, *, count: int, processes: int, limit: float = 60) -> None:
    """``count`` transactions, and ``processes`` more whose process is killed between the insert and the commit."""
    fleet.rows("CREATE TABLE shop_orders (number integer PRIMARY KEY)")
    fleet.rows("GRANT ALL ON shop_orders TO PUBLIC")
    fleet.worker(concurrency=10, lease=1.0)
    url = fleet.database.tenant_url
    ended = asyncio.run(_place_orders(fleet.folder, fleet.database.worker_url, url, count))
    for number in range(count, count + processes):
        process = fleet.run(place_and_die, url, number)
        process.join()
        assert process.exitcode == -signal.SIGKILL
    inserted = len(fleet.history.lines("inserted"))
    assert inserted == processes
    orders = {row[0] for row in fleet.rows("SELECT number FROM shop_orders")}
    assert orders == {number for number, ending in ended.items() if ending == "commit"}
    assert len(orders) == -(-count // len(ENDINGS))
    until_within(limit, lambda: fleet.ended() == len(orders) and fleet.unfinished() == 0, "every order's job is done")
    # No ghost: what ran is what was ordered, once each.
    assert sorted(int(line[1]) for line in fleet.history.lines("order")) == sorted(orders)


async def _place_orders(folder: Path, worker_url: str, url: str, count: int) -> dict[int, str]:
    jobs = served(folder, worker_url)
    ended: dict[int, str] = {}
    try:
        for number in range(count):
            ending = ENDINGS[number % len(ENDINGS)]
            try:
                async with await psycopg.AsyncConnection.connect(url) as connection:
                    await connection.execute(f"INSERT INTO shop_orders VALUES ({number})".encode())
                    await jobs.send(Order(tenant_id="acme", number=number), connection=connection, key=f"{number}")
                    if ending == "lost session":
                        await _lose(connection)
                    elif ending == "rollback":
                        await connection.rollback()
                    elif ending == "exception":
                        raise NoStock
            except (NoStock, psycopg.OperationalError):
                assert ending in ("exception", "lost session")
            ended[number] = ending
    finally:
        await jobs.stop()
        jobs.close()
    return ended


async def _lose(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
    """The session ends under its transaction, as when a machine or a line between does."""
    await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def place_and_die(folder: Path, worker_url: str, url: str, number: int) -> None:
    """A process that is killed when the job is inserted, and not committed."""
    jobs = served(folder, worker_url)

    async def place() -> None:
        connection = await psycopg.AsyncConnection.connect(url)
        await connection.execute(f"INSERT INTO shop_orders VALUES ({number})".encode())
        await jobs.send(Order(tenant_id="acme", number=number), connection=connection)
        jobs.history.write("inserted", number)
        os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(place())
