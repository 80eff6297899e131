"""Where the demo's runs are kept: in a file of the stage's folder, or in a PostgreSQL database of the demo's own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cgk_jobs import Jobs
from cgk_jobs.clock import Clock

__all__ = ["Ledger", "demo_ledger"]

ADDRESS = "JOBS_DEMO_LEDGER"
"""The environment variable that tells the demo's processes where the ledger is: it holds a password, as a command line must
not."""
VIRTUAL_LEASE = 100 * 365 * 86_400.0
"""Seconds of virtual time after which a worker would be taken for dead. Its clock jumps over hours, so the demo, which
started the process and sees it end, says so instead (``worker_ended``)."""
REAL_LEASE = 15.0

END_LEASE = "UPDATE cgk_jobs.workers SET lease_until = beat_at WHERE pid = $1"


@dataclass(frozen=True, slots=True)
class Ledger:
    """``postgres``: the worker's address, ``None`` where it is ``folder``'s ``jobs.db``."""

    folder: Path
    postgres: str | None = field(default=None, repr=False)

    @classmethod
    def of_process(cls, folder: Path) -> Ledger:
        """The one a process of the demo was started for."""
        return cls(folder, os.environ.get(ADDRESS))

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process is started with to find it."""
        others = {name: value for name, value in os.environ.items() if name != ADDRESS}
        return others if self.postgres is None else {**others, ADDRESS: self.postgres}

    @property
    def lease(self) -> float:
        """Seconds for ``Jobs.start(lease=…)``. SQLite's workers hold a lock, which ends with their process."""
        return REAL_LEASE if self.postgres is None else VIRTUAL_LEASE

    @property
    def begins_within(self) -> float:
        """Real seconds in which workers begin what has just become due, if the machine has time for them."""
        return 0.03 if self.postgres is None else 0.1

    @property
    def turn(self) -> float:
        """Real seconds after which a worker of this process may be further; 0: as soon as others have had their turn."""
        return 0.0 if self.postgres is None else 0.001

    def jobs(self, clock: Clock) -> Jobs:
        """A new application that keeps its runs here."""
        if self.postgres is None:
            return Jobs("embedded", self.folder / "jobs.db", clock=clock)
        return Jobs("postgres", self.postgres, clock=clock)

    async def worker_ended(self, pid: int) -> None:
        """Say that a process of this machine has ended, as its heartbeat process would: the next worker takes its runs."""
        if self.postgres is None:
            return
        import asyncpg

        from cgk_jobs.engine.postgres.address import parse_address

        connection = await asyncpg.connect(parse_address(self.postgres).dsn)
        try:
            await connection.execute(END_LEASE, pid)
        finally:
            await connection.close()


@contextlib.asynccontextmanager
async def demo_ledger(folder: Path, server: str | None, kept: list[str] | None) -> AsyncGenerator[Ledger, None]:
    """A fresh ledger for the length of the block: in ``folder``, or in a new database of the PostgreSQL ``server``.

    ``kept``: leave the database there and add its worker's address to this list; ``None``: drop it.
    """
    if server is None:
        yield Ledger(folder)
        return
    from cgk_jobs.engine.postgres.scratch import scratch_ledger

    async with scratch_ledger(server, "demo", keep=kept is not None) as scratch:
        if kept is not None:
            kept.append(scratch.worker_url)
        yield Ledger(folder, scratch.worker_url)
