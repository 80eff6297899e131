"""BullMQ workers in this process: each job rings once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from bullmq import Worker  # pyright: ignore[reportMissingTypeStubs]
from bullmq.custom_errors import DelayedError, UnrecoverableError  # pyright: ignore[reportMissingTypeStubs]
from redis.exceptions import RedisError

from cgk_jobs.clock import SystemClock, monotonic
from cgk_jobs.errors import InvalidEvent, JobsError, ProviderUnavailable
from cgk_jobs.providers.bullmq.settings import RedisSettings
from cgk_jobs.providers.foreign import Brought, ForeignSource, Receive
from cgk_jobs.providers.provider import Call, Deliver, Drain

__all__ = ["CLOCK", "working"]

_logger = logging.getLogger("cgk_jobs.providers")

CLOCK = "clock"
"""The queue and the name of the job scheduler that rings now and then."""
CLOCK_SECONDS = 5.0
"""How long a ring of the clock works off what is due: runs have wake-ups of their own, it only finds what is left."""
CLOSE_WITHIN = 10.0
"""Seconds the workers' jobs get to end; the attempts they rang for have had theirs before."""
LOCK_MS = 30_000
"""How long a job of a worker that died is nobody's. Its run is rescued by its own lease, whatever BullMQ does."""


@asynccontextmanager
async def working(
    settings: RedisSettings,
    check: Callable[[], Awaitable[tuple[str, ...]]],
    queue_of: Callable[[str], Any],
    deliver: Deliver,
    drain: Drain,
    queues: Sequence[str],
    concurrency: int,
    sources: Mapping[str, ForeignSource],
    receive: Receive | None,
) -> AsyncGenerator[None, None]:
    """Workers as long as the block lasts; leaving it lets the jobs under way end.

    Raises ``NotConfigured`` for a Redis that may lose jobs. One that can't be reached is waited for: the workers connect once
    it is there, and what is due meanwhile is found by the ledger's own sweep.
    """
    try:
        for warning in await check():
            _logger.warning("%s: %s", settings.shown, warning)
    except ProviderUnavailable as error:
        _logger.error("%s; its workers start all the same, and connect once it does", error)

    async def ring(job: Any, token: str) -> None:
        await _ring(deliver, job, token)

    async def clock(job: Any, token: str) -> None:
        await drain(CLOCK_SECONDS)

    workers = [_worker(settings, queue, ring, concurrency) for queue in queues]
    workers.append(_worker(settings, CLOCK, clock, 1))
    for place, source in sources.items():
        if receive is not None:
            workers.append(_worker(settings, place, _bringing(source, receive), concurrency, own=False))
    try:
        yield
    finally:
        await asyncio.gather(*[_close(worker) for worker in workers])


def _worker(
    settings: RedisSettings,
    queue: str,
    process: Callable[[Any, str], Awaitable[None]],
    concurrency: int,
    *,
    own: bool = True,
) -> Any:
    options: Any = {
        "connection": settings.url,
        "prefix": settings.prefix,
        "concurrency": concurrency,
        "lockDuration": LOCK_MS,
        "runRetryDelay": 1_000,
        # A run that ends its process must not end its wake-up: the ledger counts the run's own attempts.
        "maxStalledCount": 1_000,
    }
    worker: Any = Worker(settings.queue_name(queue) if own else queue, cast(Any, process), options)

    def said(error: object, *more: object) -> None:
        # Not its text: it may hold what was sent.
        _logger.warning("%s: %s", settings.shown, type(error).__name__)

    worker.on("error", said)
    return worker


async def _close(worker: Any) -> None:
    """Let its jobs end, and close it.

    The library's own ``close`` forgets jobs it has just begun, and waits out a wait for the next job that begins after it was
    asked; so nothing more is fetched first, and what is under way is waited for here.
    """
    worker.opts["concurrency"] = 0
    give_up_at = monotonic() + CLOSE_WITHIN
    while monotonic() < give_up_at:
        under_way = [task for task in worker.processing if not task.done()]
        if len(under_way) <= (worker.waiting is not None):
            break
        await asyncio.wait(under_way, timeout=0.02, return_when=asyncio.FIRST_COMPLETED)
    closing = asyncio.create_task(worker.close())
    while not closing.done() and monotonic() < give_up_at:
        await asyncio.wait({closing}, timeout=0.02)
        if worker.waiting is not None:
            worker.waiting.cancel()
    # Every attempt has been ended or put back by now: what is left hangs on Redis, and must not keep the process.
    left = {task for task in worker.processing if not task.done()}
    for task in left:
        task.cancel()
    await asyncio.wait({closing, *left}, timeout=1.0)
    for held in (worker.redisConnection, worker.blockingRedisConnection):
        # Closed already, unless Redis is gone: then the library leaves them open.
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await held.conn.aclose()


async def _ring(deliver: Deliver, job: Any, token: str) -> None:
    raw: object = job.data
    data = cast("dict[str, Any]", raw) if isinstance(raw, dict) else {}
    queue, tenant, run, task = (str(data.get(name, "")) for name in ("queue", "tenant", "run", "task"))
    answer = await deliver(Call(str(job.id), queue, tenant, run, task))
    if answer.kind == "busy":
        # No attempt of the job is used up.
        due = SystemClock().micros() // 1_000 + round((answer.retry_after or 1.0) * 1_000)
        await job.moveToDelayed(due, token)
        raise DelayedError
    if answer.kind == "refused":
        raise UnrecoverableError(answer.detail)


def _bringing(source: ForeignSource, receive: Receive) -> Callable[[Any, str], Awaitable[None]]:
    async def bring(job: Any, token: str) -> None:
        data: Any = job.data
        if not isinstance(data, dict):
            raise UnrecoverableError("the job's data is no object: send the event's fields, tenant_id among them")
        try:
            await receive(Brought(source, str(job.name), cast(dict[str, Any], data), str(job.id)))
        except ProviderUnavailable:
            raise
        except (InvalidEvent, JobsError) as error:
            # It stays in Redis as a failed job, with this reason, until somebody has looked at it.
            raise UnrecoverableError(str(error)) from None

    return bring
