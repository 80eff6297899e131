"""Two days of every schedule, minute by minute, with the worker in the sender's own process, as in a web server."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from cgk_jobs.examples.commerce.demo.plan import TWO_DAYS, TWO_DAYS_TENANTS
from cgk_jobs.examples.commerce.demo.result import DemoResult, Progress, Told
from cgk_jobs.examples.commerce.demo.stage import Stage
from cgk_jobs.providers.provider import Running

__all__ = ["replay_two_days"]

MINUTE = timedelta(minutes=1)
MINUTES = 1_440
CONCURRENCY = 100
TURNS = 200
"""Turns of the event loop a minute's runs get before the next minute begins. A run held by a rate needs the next one."""


async def replay_two_days(folder: Path, result: DemoResult, told: Told) -> None:
    """Replay both days, one after the other, and add what they did to ``result``."""
    for number, day in enumerate(TWO_DAYS):
        await _replay(day, number * MINUTES, folder / day.isoformat(), result, told)
    result.two_days_ticks.schedules //= len(TWO_DAYS)


async def _replay(day: date, done: int, folder: Path, result: DemoResult, told: Told) -> None:
    start = datetime.combine(day, time(), UTC)
    stage = Stage(folder, start, dict.fromkeys(TWO_DAYS_TENANTS, ()), None)
    try:
        await stage.open()
        await stage.jobs.start(concurrency=CONCURRENCY, scheduler=False)
        running = stage.jobs.running
        assert running is not None  # noqa: S101 - just started
        for minute in range(1, MINUTES + 1):
            before = stage.stored - running.begun
            await stage.at(start + minute * MINUTE)
            await _caught_up(running, stage.stored - before)
            told(Progress("two days of every schedule", done + minute, len(TWO_DAYS) * MINUTES, f"{day:%d %b %Y}"))
        await stage.drain(lambda: running.begun, lambda: None)
        await stage.jobs.stop()
        await stage.collect(result, result.two_days_ticks, start + MINUTES * MINUTE)
    finally:
        await stage.jobs.stop(grace=0)
        stage.close()


async def _caught_up(running: Running, begun: int) -> None:
    """Let the worker have its turns until it has begun so many attempts and is idle."""
    for _ in range(TURNS):
        if running.idle and running.begun >= begun:
            return
        await asyncio.sleep(0)
