"""A day of every schedule: ``python -m cgk_jobs.examples.commerce.demo.day FOLDER DAY``.

Minute by minute, with the scheduler and the worker in one process, as in a web server. What became of it is in the ledger.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import date, timedelta
from pathlib import Path

from cgk_jobs.examples.commerce.demo.ledger import Ledger
from cgk_jobs.examples.commerce.demo.memory import peak_mb
from cgk_jobs.examples.commerce.demo.plan import MINUTES_A_DAY
from cgk_jobs.examples.commerce.demo.shared_clock import SharedCount
from cgk_jobs.examples.commerce.demo.stage import Stage
from cgk_jobs.providers.bound import Running

__all__ = ["main"]

CONCURRENCY = 100
TURNS = 200
"""Turns of the event loop a minute's runs get before the next minute begins. A run held by a rate needs the next one."""


async def _replay(folder: Path, day: date) -> None:
    done = SharedCount(folder / "minutes")
    ledger = Ledger.of_process(folder)
    stage = Stage.of_day(ledger, day)
    await stage.open()
    await stage.jobs.start(concurrency=CONCURRENCY, lease=ledger.lease, scheduler=False)
    running = stage.jobs.running
    assert running is not None  # noqa: S101 - just started
    for minute in range(1, MINUTES_A_DAY + 1):
        left = stage.stored - running.begun
        await stage.at(stage.start + timedelta(minutes=minute))
        await _caught_up(running, stage.stored - left, ledger.turn)
        done.value = minute
    await stage.drain(lambda: running.begun, lambda: None)
    await stage.jobs.stop()
    stage.close()
    (folder / "peak").write_text(str(peak_mb()), encoding="ascii")


async def _caught_up(running: Running, begun: int, turn: float) -> None:
    """Let the worker have its turns, of at least ``turn`` seconds, until it has begun so many attempts and is idle."""
    for _ in range(TURNS):
        if running.idle and running.begun >= begun:
            return
        await asyncio.sleep(turn)


def main() -> None:
    """Replay a day for the demo."""
    logging.disable()
    folder, day = sys.argv[1:3]
    asyncio.run(_replay(Path(folder), date.fromisoformat(day)))


if __name__ == "__main__":
    main()
