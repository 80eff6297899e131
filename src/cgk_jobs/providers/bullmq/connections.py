"""Connections to Redis: one client for each running loop, opened at first use, with time limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import redis.asyncio
from bullmq import Queue  # type: ignore[import-untyped]
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from cgk_jobs.errors import NotConfigured, ProviderUnavailable
from cgk_jobs.providers.bullmq.settings import RedisSettings

__all__ = ["Connections"]

T = TypeVar("T")

CONNECT_WITHIN = 5.0
ANSWER_WITHIN = 10.0
"""Seconds one request may take."""


class _OfLoop:
    def __init__(self, settings: RedisSettings) -> None:
        self.client: Any = redis.asyncio.from_url(
            settings.url,
            decode_responses=True,
            socket_connect_timeout=CONNECT_WITHIN,
            socket_timeout=ANSWER_WITHIN,
            health_check_interval=30,
        )
        self.queues: dict[str, Any] = {}


class Connections:
    """The clients and BullMQ queues of one provider."""

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _OfLoop] = WeakKeyDictionary()

    @property
    def _here(self) -> _OfLoop:
        loop = asyncio.get_running_loop()
        found = self._of_loops.get(loop)
        if found is None:
            found = self._of_loops[loop] = _OfLoop(self._settings)
        return found

    @property
    def client(self) -> Any:
        """A client of the running loop."""
        return self._here.client

    def queue(self, name: str) -> Any:
        """The BullMQ queue of one of the ledger's."""
        here = self._here
        found = here.queues.get(name)
        if found is None:
            options: Any = {"connection": here.client, "prefix": self._settings.prefix}
            found = here.queues[name] = Queue(self._settings.queue_name(name), options)
        return found

    async def ask(self, request: Awaitable[T]) -> T:
        """The answer to a request. Raises ``ProviderUnavailable`` or ``NotConfigured`` in Redis's place."""
        shown = self._settings.shown
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                return await request
        except (AuthenticationError, NoPermissionError) as error:
            raise NotConfigured(f"{shown} refuses the user or password of REDIS_URL ({type(error).__name__})") from None
        except (RedisError, OSError, TimeoutError) as error:
            # Not the error's own text: it may hold what was sent.
            raise ProviderUnavailable(f"{shown} does not answer ({type(error).__name__}): is Redis running?") from None

    async def close(self) -> None:
        """Close those of the running loop."""
        here = self._of_loops.pop(asyncio.get_running_loop(), None)
        if here is not None:
            await here.client.aclose()
