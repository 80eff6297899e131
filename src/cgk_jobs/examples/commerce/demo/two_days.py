"""Two days of every schedule, side by side: each in a process of its own."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from cgk_jobs.errors import JobsError
from cgk_jobs.examples.commerce.demo.plan import MINUTES_A_DAY, TWO_DAYS
from cgk_jobs.examples.commerce.demo.result import DemoResult, Progress, TicksResult, Told
from cgk_jobs.examples.commerce.demo.shared_clock import SharedCount
from cgk_jobs.examples.commerce.demo.stage import Stage

__all__ = ["replay_two_days"]

TELL_EVERY = 0.1


async def replay_two_days(folder: Path, result: DemoResult, told: Told) -> None:
    """Replay both days and add what they did to ``result``. Raises ``JobsError`` if a process fails."""
    folders = [folder / day.isoformat() for day in TWO_DAYS]
    for each in folders:
        each.mkdir(parents=True)
    counts = [SharedCount(each / "minutes") for each in folders]
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cgk_jobs.examples.commerce.demo.day", str(each), day.isoformat()
        )
        for each, day in zip(folders, TWO_DAYS, strict=True)
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
    for each, day in zip(folders, TWO_DAYS, strict=True):
        stage = Stage.of_day(each, day)
        ticks = TicksResult()
        await stage.collect(result, ticks, stage.start + timedelta(days=1))
        stage.close()
        result.two_days_ticks.schedules = ticks.schedules
        result.two_days_ticks.due += ticks.due
        result.two_days_ticks.ran += ticks.ran
    peak = sum(float((each / "peak").read_text(encoding="ascii")) for each in folders)
    result.peak_rss_mb = max(result.peak_rss_mb, peak)


def _names() -> str:
    return " and ".join(f"{day:%d %b %Y}" for day in TWO_DAYS)
