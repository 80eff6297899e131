"""What Vercel's clock calls, and what the application calls itself: ``/cron/…`` and ``/drain``.

The secret is all that tells these calls from others. It is compared before anything else is done, in constant time and
whole; without a secret set, nobody is let in. Nothing else of a call is read: it has no body, and its headers can be anybody's.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import math
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence

from cgk_jobs.errors import ProviderUnavailable
from cgk_jobs.wire.asgi import Receive, Scope, Send, answer, header_of

__all__ = ["REALM", "Guarded"]

_logger = logging.getLogger("cgk_jobs.providers.vercel_cron")

REALM = 'Bearer realm="cgk-jobs"'
"""By which a refusal of ours is told from one of somebody in front of us."""
AGAIN = 30
"""Seconds after which a caller may come again if the ledger can't be reached."""


class Guarded:
    """An endpoint for whoever knows one of the secrets. ``work`` answers what was done, in numbers."""

    def __init__(self, secrets: Sequence[str], work: Callable[[], Awaitable[Mapping[str, int]]]) -> None:
        # Of equal lengths, so that the time of a comparison says nothing of the secret's.
        self._digests = [_digest(f"Bearer {secret}".encode("latin-1")) for secret in secrets]
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"an endpoint for http, called for {scope['type']}")
        status, body, headers = await self._reply(scope)
        await answer(send, status, body, headers)

    async def _reply(self, scope: Scope) -> tuple[int, object, dict[str, str]]:
        if scope["method"] != "GET":
            return 405, None, {"Allow": "GET"}
        if not self._knows(header_of(scope, "authorization")):
            _logger.info("a call to %s was refused: it does not bring the secret", scope["path"])
            return 401, None, {"WWW-Authenticate": REALM}
        try:
            return 200, dict(await self._work()), {}
        except ProviderUnavailable as error:
            _logger.warning("a call did nothing: the ledger can't be reached")
            return 503, None, {"Retry-After": str(math.ceil(error.retry_after or AGAIN))}
        except Exception as error:
            _logger.error("a call failed with %s", _place(error))
            return 500, None, {}

    def _knows(self, authorization: str | None) -> bool:
        given = _digest((authorization or "").encode("latin-1"))
        known = False
        for digest in self._digests:
            # All of them, whichever it is.
            known |= hmac.compare_digest(given, digest)
        return known


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


def _place(error: Exception) -> str:
    """Kind and line of an error: its text may hold what a handler was given."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {frames[-1].filename}:{frames[-1].lineno}" if frames else type(error).__name__
