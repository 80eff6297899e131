"""Two days of every schedule, side by side: each in a process of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import timedelta

from cgk_jobs.errors import JobsError
from cgk_jobs.examples.commerce.demo.ledger import Ledger
from cgk_jobs.examples.commerce.demo.plan import MINUTES_A_DAY, TWO_DAYS
from cgk_jobs.examples.commerce.demo.result import DemoResult, Progress, TicksResult, Told
from cgk_jobs.examples.commerce.demo.shared_clock import SharedCount
from cgk_jobs.examples.commerce.demo.stage import Stage

__all__ = ["replay_two_days"]

TELL_EVERY = 0.1


async def replay_two_days(ledgers: Sequence[Ledger], result: DemoResult, told: Told) -> None:
    """Replay both days, each in its ledger, and add what they did to ``result``. Raises ``JobsError`` if a process fails."""
    for ledger in ledgers:
        ledger.folder.mkdir(parents=True)
    counts = [SharedCount(ledger.folder / "minutes") for ledger in ledgers]
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "cgk_jobs.examples.commerce.demo.day",
            str(ledger.folder),
            day.isoformat(),
            env=ledger.environment,
        )
        for ledger, day in zip(ledgers, TWO_DAYS, strict=True)
    ]
    try:
        ends = asyncio.gather(*[process.wait() for process in processes])
        while not ends.done():
            await asyncio.wait([ends], timeout=TELL_EVERY)
            done = sum(count.value for count in counts)
            told(Progress("two days of every schedule", done, len(counts) * MINUTES_A_DAY, _names()))
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
    if any(await ends):
        raise JobsError("a day of the demo failed; what it wrote above says why")
    for ledger, day in zip(ledgers, TWO_DAYS, strict=True):
        stage = Stage.of_day(ledger, day)
        ticks = TicksResult()
        await stage.collect(result, ticks, stage.start + timedelta(days=1))
        stage.close()
        result.two_days_ticks.schedules = ticks.schedules
        result.two_days_ticks.due += ticks.due
        result.two_days_ticks.ran += ticks.ran
    peak = sum(float((ledger.folder / "peak").read_text(encoding="ascii")) for ledger in ledgers)
    result.peak_rss_mb = max(result.peak_rss_mb, peak)


def _names() -> str:
    return " and ".join(f"{day:%d %b %Y}" for day in TWO_DAYS)
