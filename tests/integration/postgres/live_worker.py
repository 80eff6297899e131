"""A worker process for the tests of live changes: one run at a time, each told in a file, each let go by the test."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from cgk_jobs import Event, Jobs


class Turn(Event, name="live.turn"):
    """One turn of a tenant."""


def application(url: str, folder: Path) -> Jobs:
    """The application both processes have."""
    jobs = Jobs(url)

    @jobs.task(on=Turn)
    async def turn(event: Turn) -> None:
        with (folder / "turns").open("a") as file:
            file.write(f"{event.tenant_id}\n")
        while not (folder / "gate").exists():  # noqa: ASYNC110 - the test opens it from another process
            await asyncio.sleep(0.005)

    return jobs


if __name__ == "__main__":
    application(sys.argv[1], Path(sys.argv[2])).run(concurrency=int(sys.argv[3]))
