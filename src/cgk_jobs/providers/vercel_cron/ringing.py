"""Calls of the application to itself: what was sent is begun now, and not when Vercel's clock rings next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from weakref import WeakKeyDictionary

from cgk_jobs.clock import Clock
from cgk_jobs.errors import JobsError
from cgk_jobs.providers.provider import Health
from cgk_jobs.providers.vercel_cron.receive import REALM
from cgk_jobs.providers.vercel_cron.settings import CRON_PATH, DRAIN_PATH
from cgk_jobs.wire.http import HttpClient, RetryRules, Timeouts

__all__ = ["Bell"]

_logger = logging.getLogger("cgk_jobs.providers.vercel_cron")


class _Turn:
    """The rings of one event loop: one leaves after the other, and one for all who asked meanwhile."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.asked = 0
        self.covered = 0


class Bell:
    """Rings ``{public_url}/drain``. ``patience``: seconds such a call may take, if this process lives to hear its answer."""

    def __init__(self, public_url: str, secret: str, patience: float, clock: Clock) -> None:
        self._headers = {"Authorization": f"Bearer {secret}"}
        self._http = HttpClient(
            public_url,
            service="This application",
            extra="vercel_cron",
            credentials="CRON_SECRET and JOBS_PUBLIC_URL",
            timeouts=Timeouts(connect=3.0, read=patience, total=patience),
            retry=RetryRules(attempts=1),
            clock=clock,
        )
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turn] = WeakKeyDictionary()

    async def ring(self) -> None:
        """Ring, and return as soon as the call has left. Raises ``ProviderUnavailable`` if it could not."""
        turn = self._turns.setdefault(asyncio.get_running_loop(), _Turn())
        turn.asked += 1
        mine = turn.asked
        async with turn.lock:
            if turn.covered >= mine:
                return
            covers = turn.asked
            await self._http.tell(DRAIN_PATH, headers=self._headers, answered=_hear)
            turn.covered = covers

    async def health(self) -> Health:
        """Ask without the secret: it must be this application that refuses."""
        path = f"{CRON_PATH}tick"
        try:
            found = await self._http.call("GET", path, expect=range(100, 500))
        except JobsError as error:
            return Health(False, str(error))
        refused = found.headers.get("www-authenticate") == REALM
        return Health(True) if found.status == 401 and refused else Health(False, _trouble(found.status))

    async def close(self) -> None:
        """Close the connections. A call that has left goes on at the host."""
        await self._http.close()


def _trouble(status: int) -> str:
    if status in (401, 403):
        return f"something in front of the application answers {status}: Vercel's deployment protection must let /cron and /drain by"
    if 300 <= status < 400:
        return f"the call is sent elsewhere ({status}), which Vercel's clock does not follow: is JOBS_PUBLIC_URL exact?"
    if status == 404:
        return "nothing is served there (404): mount jobs.asgi() where JOBS_PUBLIC_URL leads"
    return f"a call without the secret was answered {status}, not 401: is it this application that answers?"


def _hear(status: int | None) -> None:
    say: Callable[..., None] = _logger.debug if status in (200, None) else _logger.warning
    say(
        "the application's call to itself was answered %s%s",
        status,
        f": {_trouble(status)}" if status is not None and status < 500 and status != 200 else "",
    )
