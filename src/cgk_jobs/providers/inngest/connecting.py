"""The other way to be reached: a connection from here to Inngest, for an application without a public address."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from cgk_jobs.errors import NotConfigured
from cgk_jobs.providers.inngest.functions import App

__all__ = ["connected"]

_logger = logging.getLogger("cgk_jobs.providers.inngest")

FAREWELL = 10.0
"""Seconds the connection has to end well: calls under way are reported by it."""


@asynccontextmanager
async def connected(apps: Sequence[App], concurrency: int) -> AsyncGenerator[None, None]:
    """Be called over a connection inside the block. The vendor's package connects again by itself.

    Raises ``NotConfigured`` where its packages are missing.
    """
    try:
        from inngest.connect import connect
    except ImportError as error:
        raise NotConfigured("JOBS_INNGEST_CONNECT needs more packages: pip install 'inngest[connect]'") from error
    connection = connect(
        [(app.client, app.functions) for app in apps],
        # Signals are the process's own business.
        shutdown_signals=[],
        max_worker_concurrency=concurrency,
    )
    running = asyncio.get_running_loop().create_task(connection.start(), name="cgk-jobs-inngest")
    running.add_done_callback(_ended)
    try:
        yield
    finally:
        try:
            async with asyncio.timeout(FAREWELL):
                await connection.close(wait=True)
        except TimeoutError:
            _logger.warning("the connection to Inngest did not end within %.0f s", FAREWELL)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _ended(running: asyncio.Task[None]) -> None:
    if not running.cancelled() and running.exception() is not None:
        _logger.error("the connection to Inngest ended: %s", type(running.exception()).__name__)
