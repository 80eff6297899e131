"""What PostgreSQL tells of itself: its clock, old transactions, dead rows, a pooler in the way, the wall between tenants."""

from __future__ import annotations

from cgk_jobs.checkup.findings import Finding, bad, fine, mind
from cgk_jobs.clock import SystemClock
from cgk_jobs.engine.postgres.catalogue import scan
from cgk_jobs.engine.postgres.database import Database

__all__ = ["look_at_postgres"]

CLOCKS_APART = 5.0
LONG_TRANSACTION = 300.0
DEAD_SHARE, DEAD_LEAST = 5.0, 50_000
"""Dead rows of the runs' table for each live one, and how many there must be, before vacuum is said to fall behind."""


async def look_at_postgres(url: str) -> list[Finding]:
    """With the worker's login, read-only."""
    database = Database(url, SystemClock(), size=1)
    try:
        row = await database.row("checkup")
        problems = await scan(database)
        pooled = database.server.pooled
    finally:
        database.close()
    assert row is not None  # noqa: S101 - one row, whatever there is
    found = [_clock(row["now_micros"]), _transactions(row["oldest"]), _dead(row["dead"], row["live"])]
    if pooled:
        found.append(
            mind("pooler", "between the workers and the database: waking is by looking, some 20 ms later", "give workers the database's own address, if latency matters")
        )  # fmt: skip
    for problem in problems:
        make = bad if problem.severe else mind
        found.append(make("wall", f"{problem.object}: {problem.what}", problem.remedy))
    return found if problems else [*found, fine("wall", "between tenants: stands")]


def _clock(database_micros: int) -> Finding:
    apart = abs(SystemClock().micros() - database_micros) / 1e6
    if apart > CLOCKS_APART:
        return mind(
            "clocks",
            f"this machine and the database are {apart:,.0f} s apart; the database's decides",
            "switch on NTP on both",
        )
    return fine("clocks", "this machine's and the database's agree")


def _transactions(oldest: float | None) -> Finding:
    if oldest is not None and oldest > LONG_TRANSACTION:
        return mind(
            "transactions", f"one is open for {oldest / 60:,.0f} minutes: rows that are gone can't be cleaned up meanwhile",
            "find it in pg_stat_activity (xact_start), and end it",
        )  # fmt: skip
    return fine("transactions", "none is open for long")


def _dead(dead: int, live: int) -> Finding:
    if dead > DEAD_LEAST and dead > DEAD_SHARE * max(live, 1):
        return mind(
            "vacuum",
            f"{dead:,} dead rows beside {live:,} live runs",
            "VACUUM cgk_jobs.runs, and look what holds it up (old transactions)",
        )
    return fine("vacuum", f"{dead:,} dead rows")
