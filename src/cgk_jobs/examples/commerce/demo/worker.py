"""The demo's worker process: ``python -m cgk_jobs.examples.commerce.demo.worker FOLDER NUMBER``.

It works until its standard input closes, which the end of the demo does, whatever ended it. What it has to tell is in two
files from which the demo reads while it works, so that little is lost when it is killed: ``begun-NUMBER`` and
``starts-NUMBER``.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from pathlib import Path

from cgk_jobs.examples.commerce.demo.ledger import Ledger
from cgk_jobs.examples.commerce.demo.memory import peak_mb
from cgk_jobs.examples.commerce.demo.middleware import OrderMiddleware
from cgk_jobs.examples.commerce.demo.plan import NAMED_SCHEDULES, application
from cgk_jobs.examples.commerce.demo.shared_clock import SharedClock, SharedCount

__all__ = ["main"]

CONCURRENCY = 250
TELL_EVERY = 0.01
"""Seconds after which the count of attempts is brought up to date."""
NOTED_AT_ONCE = 100
"""Starts that are written together."""


async def _work(folder: Path, number: str) -> None:
    orders = OrderMiddleware()
    ledger = Ledger.of_process(folder)
    jobs, shop = application(ledger, SharedClock(folder / "clock"), NAMED_SCHEDULES, (orders,))
    begun = SharedCount(folder / f"begun-{number}")
    starts = folder / f"starts-{number}"
    starts.touch()
    await jobs.start(concurrency=CONCURRENCY, lease=ledger.lease, scheduler=False)
    # What is here now stays: looking through it again and again costs a tenth of the time.
    gc.freeze()
    gc.set_threshold(50_000)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    closed = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    while not closed.done():
        if jobs.running is not None:
            begun.value = jobs.running.begun
        if len(orders.starts) >= NOTED_AT_ONCE:
            _note(orders, starts)
        await asyncio.sleep(TELL_EVERY)
    await jobs.stop()
    _note(orders, starts)
    shop.close()
    jobs.close()
    (folder / f"peak-{number}").write_text(str(peak_mb()), encoding="ascii")


def _note(orders: OrderMiddleware, path: Path) -> None:
    """Write down the starts since the last time, a line each; a file of this size takes no time worth a thread."""
    noted, orders.starts = orders.starts, []
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{tenant} {event} {order} {moment}\n" for tenant, event, order, moment in noted)


def main() -> None:
    """Work for the demo."""
    logging.disable()
    folder, number = sys.argv[1:3]
    asyncio.run(_work(Path(folder), number))


if __name__ == "__main__":
    main()
