"""What Inngest calls: the vendor's own endpoint, behind a check of ours.

The vendor's package checks a call's signature and not its age, and takes one again that came before. So signature, age and
replay are checked here, before the body is parsed; the package then checks the signature once more.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from cgk_jobs.clock import Clock
from cgk_jobs.errors import NotConfigured
from cgk_jobs.providers.calls import place_of
from cgk_jobs.providers.inngest.canonical import canonical
from cgk_jobs.providers.inngest.functions import App
from cgk_jobs.providers.provider import AsgiApp
from cgk_jobs.wire.asgi import BadRequest, Receive, Scope, Send, answer, header_of, read_body
from cgk_jobs.wire.replays import Seen

__all__ = ["TOLERANCE", "Guarded", "serve", "sign"]

_logger = logging.getLogger("cgk_jobs.providers.inngest")

LARGEST_BODY = 1024 * 1024
"""Bytes. A wake-up has some 500; an event from elsewhere at most 256 KiB, twice over."""
TOLERANCE = 300
"""Seconds by which a call may be older or newer than this machine's clock."""
_SIGNATURE = re.compile(r"t=([1-9][0-9]{0,11})&s=([0-9a-f]{64})", re.ASCII)


class _Refused(Exception):
    def __init__(self, reason: str, *, genuine: bool = False) -> None:
        super().__init__(reason)
        self.genuine = genuine


class Guarded:
    """Passes on what is signed with one of ``keys``, in time, once. ``keys`` ``None``: a development server, which signs nothing."""

    def __init__(self, app: AsgiApp, path: str, keys: Sequence[bytes] | None, seen: Seen, clock: Clock) -> None:
        self._app, self._path, self._keys, self._seen, self._clock = app, path, keys, seen, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"an endpoint for http, called for {scope['type']}")
        if scope["method"] not in ("GET", "POST", "PUT"):
            await answer(send, 405, None, {"Allow": "GET, POST, PUT"})
            return
        try:
            body = await self._checked(scope, receive)
        except _Refused as refused:
            # What is genuine and refused all the same is a mistake of the set-up; anybody can cause the rest.
            level = logging.WARNING if refused.genuine else logging.INFO
            _logger.log(level, "a call to %s was refused: its signature is %s", self._path, refused)
            await answer(send, 401, None, {})
            return
        except BadRequest as bad:
            _logger.info("a call to %s was refused: %s", self._path, bad)
            await answer(send, bad.status, None, {})
            return
        await self._pass_on(scope, body, send)

    async def _checked(self, scope: Scope, receive: Receive) -> bytes:
        if self._keys is None:
            return await read_body(scope, receive, LARGEST_BODY)
        header = header_of(scope, "x-inngest-signature")
        found = _SIGNATURE.fullmatch(header or "")
        if found is None:
            raise _Refused("not there, or of another form")
        timestamp, signature = found[1], found[2]
        now = self._clock.micros() // 1_000_000
        if abs(int(timestamp) - now) > TOLERANCE:
            raise _Refused("too old, or from the future: look at this machine's clock")
        body = await read_body(scope, receive, LARGEST_BODY)
        if not self._fits(signature, body, timestamp):
            raise _Refused("made with another key, or for another body")
        if scope["method"] == "POST":
            until = (int(timestamp) + TOLERANCE + 1) * 1_000_000
            if not await self._seen.first(f"inngest:{signature}", until):
                raise _Refused("used before", genuine=True)
        return body

    def _fits(self, signature: str, body: bytes, timestamp: str) -> bool:
        # As it came, and in the canonical form of RFC 8785, which is what the vendor signs: mostly the two are the same.
        form = canonical(body)
        forms = [body] if form is None else [body, form]
        # All are compared, whichever fits, so how long it takes says nothing of the key.
        good = [
            hmac.compare_digest(_mac(key, form, timestamp), signature) for key in self._keys or () for form in forms
        ]
        return any(good)

    async def _pass_on(self, scope: Scope, body: bytes, send: Send) -> None:
        incoming = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            return incoming.pop() if incoming else {"type": "http.disconnect"}

        inner = {**scope, "path": self._path, "raw_path": self._path.encode(), "root_path": ""}
        try:
            await self._app(inner, receive, send)
        except Exception as error:
            _logger.error("a call to %s failed with %s", self._path, place_of(error))
            await answer(send, 500, None, {})


def serve(app: App, public_url: str, path: str) -> tuple[AsgiApp, str]:
    """The vendor's own endpoint for an app, and the path it answers at. ``path``: below ``public_url``.

    Raises ``NotConfigured`` where its packages are missing.
    """
    try:
        import fastapi
        from inngest.fast_api import serve as serve_functions
    except ImportError as error:
        raise NotConfigured("Inngest's endpoint needs its packages: pip install 'cgk-jobs[inngest]'") from error
    address = urlsplit(public_url)
    whole = address.path + path
    inner = fastapi.FastAPI(openapi_url=None)
    serve_functions(
        inner,
        app.client,
        app.functions,
        # Whoever may have the functions registered again says so with the signing key.
        enable_unauthed_sync=False,
        serve_origin=f"{address.scheme}://{address.netloc}",
        serve_path=whole,
    )
    return inner, whole


def sign(key: bytes, body: bytes, now: int) -> str:
    """The value of ``x-inngest-signature`` for a call of our own at ``now`` (seconds since 1970)."""
    return f"t={now}&s={_mac(key, body, str(now))}"


def _mac(key: bytes, body: bytes, timestamp: str) -> str:
    return hmac.new(key, body + timestamp.encode(), hashlib.sha256).hexdigest()
