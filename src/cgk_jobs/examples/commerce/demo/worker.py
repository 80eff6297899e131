"""The demo's worker process: ``python -m cgk_jobs.examples.commerce.demo.worker FOLDER NUMBER``.

It works until its standard input closes, which the end of the demo does, whatever ended it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
from pathlib import Path

from cgk_jobs.examples.commerce.demo.memory import peak_mb
from cgk_jobs.examples.commerce.demo.middleware import OrderMiddleware
from cgk_jobs.examples.commerce.demo.plan import NAMED_SCHEDULES, application
from cgk_jobs.examples.commerce.demo.shared_clock import SharedClock, SharedCount

__all__ = ["main"]

CONCURRENCY = 250


async def _work(folder: Path, number: str) -> None:
    orders = OrderMiddleware()
    jobs, shop = application(folder, SharedClock(folder / "clock"), NAMED_SCHEDULES, (orders,))
    begun = SharedCount(folder / f"begun-{number}")
    report = folder / f"report-{number}.json"
    await jobs.start(concurrency=CONCURRENCY, scheduler=False)
    # What is here now stays: looking through it again and again costs a tenth of the time.
    gc.freeze()
    gc.set_threshold(50_000)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    closed = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    while not closed.done():
        running = jobs.running
        if running is not None:
            begun.value = running.begun
        await asyncio.wait([closed], timeout=0.01)
    await jobs.stop()
    shop.shops.close()
    jobs.close()
    starts = [[*key, moment] for key, moment in orders.starts.items()]
    report.write_text(json.dumps({"starts": starts, "peak_mb": peak_mb()}), encoding="utf-8")


def main() -> None:
    """Work for the demo."""
    logging.disable()
    folder, number = sys.argv[1:3]
    asyncio.run(_work(Path(folder), number))


if __name__ == "__main__":
    main()
