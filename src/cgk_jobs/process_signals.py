"""Working until the operating system says to stop."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable

__all__ = ["until_told_to_stop"]


async def until_told_to_stop(start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]) -> None:
    """Start, wait for SIGTERM or SIGINT, stop. A second signal meanwhile ends the process at once."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()

    def asked(number: int) -> None:
        if told.is_set():
            raise SystemExit(128 + number)
        told.set()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                loop.add_signal_handler(number, asked, number)
            except NotImplementedError:  # Windows
                signal.signal(number, lambda number, _: loop.call_soon_threadsafe(asked, number))
    await start()
    try:
        await told.wait()
    finally:
        await stop()
