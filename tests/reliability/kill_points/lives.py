"""One scenario: processes that tell the same story on one ledger, all killed but the last, and then the judge."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path

from tests.forking import forks
from tests.reliability.kill_points.application import application
from tests.reliability.kill_points.arming import Fuse, arm
from tests.reliability.kill_points.checker import Ledger, StoredSteps, complaints
from tests.reliability.kill_points.points import Point, find
from tests.reliability.kill_points.stories import prepare, tell
from tests.reliability.kill_points.vendor import Vendor
from tests.servers.postgres import LedgerDatabase

from cgk_jobs.engine import scheduler
from cgk_jobs.runtime import calling

__all__ = ["NeverPassed", "kill_at"]

PATIENCE = 18.0
"""Seconds a life may take: it is told in well under one."""


class NeverPassed(Exception):
    """The story was told to its end, and the point was not passed so often."""


def kill_at(
    point: Point,
    folder: Path,
    *,
    passage: int = 1,
    stories: tuple[str, ...] = (),
    database: LedgerDatabase | None = None,
) -> list[str]:
    """Kill a process at the ``passage``-th passage of a point, let others end its work, and judge: what is wrong.

    ``stories``: those told at once, by default the point's own. Raises ``NeverPassed``.
    """
    stories = stories or (point.story,)
    url = f"sqlite:///{folder / 'jobs.db'}" if database is None else database.worker_url
    ledger = Ledger(folder / "jobs.db" if database is None else database.admin_url)
    vendor = Vendor(folder)
    deaths = [(point.after, 1), (point.name, passage)] if point.after else [(point.name, passage)]
    stored: list[StoredSteps] = []
    for life, (name, times) in enumerate((*deaths, ("", 0)), 1):
        end = _live(folder, url, life, name, times, stories)
        if name and end == 0:
            raise NeverPassed(name)
        if end != (-signal.SIGKILL if name else 0):
            fate = f"ended with {end}" if end is not None else f"did not end within {PATIENCE:g} s"
            found = [] if name else complaints(ledger, vendor, stories, stored)
            return [f"life {life}, to die at {name or 'no point'}, {fate}: {_log(folder)}", *found]
        if name:
            stored.append(ledger.stored_steps())
    return complaints(ledger, vendor, stories, stored)


def _live(folder: Path, url: str, life: int, name: str, passage: int, stories: tuple[str, ...]) -> int | None:
    process = forks.Process(target=_tell, args=(folder, url, life, name, passage, stories))
    process.start()
    process.join(PATIENCE)
    if process.is_alive():
        process.kill()
        process.join(PATIENCE)
        assert not process.is_alive(), f"process {process.pid} did not end by SIGKILL within {PATIENCE:g} s"
        return None
    return process.exitcode


def _log(folder: Path) -> str:
    log = folder / "log"
    return log.read_text()[-3_000:] if log.exists() else "nothing was logged"


def _tell(folder: Path, url: str, life: int, name: str, passage: int, stories: tuple[str, ...]) -> None:
    """The main function of a life."""
    logging.basicConfig(filename=folder / "log", level=logging.WARNING)
    # Small portions, so that there is a point between two.
    calling.AT_ONCE, scheduler.PART = 2, 1
    vendor = Vendor(folder, life)
    fuse = Fuse(name, passage, vendor)
    if name:
        point = find(name)
        arm(fuse, point.calls, point.moment, point.when)
    asyncio.run(_prepare_and_tell(folder, url, life, fuse, vendor, stories))


async def _prepare_and_tell(
    folder: Path, url: str, life: int, fuse: Fuse, vendor: Vendor, stories: tuple[str, ...]
) -> None:
    jobs = application(folder, url, vendor)
    try:
        if life == 1:
            await prepare(jobs, folder, url)
        fuse.live = True
        # A death is seen at once on SQLite, so a lease longer than any test is never waited for; on a server it runs out.
        await tell(jobs, vendor, stories, lease=600.0 if url.startswith("sqlite") else 1.0)
    except BaseException:
        logging.getLogger("tests").exception("a life that nobody killed ended")
        raise
    finally:
        jobs.close()
