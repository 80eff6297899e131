"""HTTP to a vendor, done once: pooled connections, time limits, retries where they are safe, and nothing secret in errors.

An error names the method, host, path template, status and the vendor's error code; never a body, a key, a header or a query.
Tries of one call send the same headers: an idempotency key among them holds for all.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from cgk_jobs.clock import Clock, SystemClock, monotonic
from cgk_jobs.errors import JobsError, NotConfigured, ProviderRefused, ProviderUnavailable
from cgk_jobs.wire.pauses import Pause, RetryRules, pause_by
from cgk_jobs.wire.requests import ABSENT, body_of, checked, code_of, filled, query_of, value_of

if TYPE_CHECKING:
    import httpx

__all__ = ["HttpAnswer", "HttpClient", "RetryRules", "Timeouts", "code_of"]

LARGEST_ANSWER = 16 * 1024 * 1024
"""Bytes, unpacked."""

_SAFE_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PUT"})
_quiet: ContextVar[bool] = ContextVar("cgk_jobs_http_quiet", default=False)


class Timeouts(NamedTuple):
    """Seconds: to connect, between two pieces of an answer, to hand over a piece of a body, and for one try as a whole."""

    connect: float = 5.0
    read: float = 20.0
    write: float = 20.0
    total: float = 30.0


USUAL_TIMEOUTS = Timeouts()
USUAL_RETRY = RetryRules()
RETRY_AFTER = pause_by("retry-after")


class HttpAnswer(NamedTuple):
    """``headers``: names in lower case. ``json``: the body's value; ``None`` if it is empty or no JSON."""

    status: int
    json: Any
    headers: Mapping[str, str]
    content: bytes


class _Try(NamedTuple):
    """How a try ended without an answer. ``sent``: the server may have got the request."""

    error: str
    sent: bool


class HttpClient:
    """Calls of one vendor. May be used from any number of event loops; each gets its connections with its first call.

    ``service`` names the vendor in errors; ``extra`` the package's extra that brings httpx. ``headers`` go with each call
    and may hold keys. ``credentials`` says what to look at when the vendor refuses the key, for example ``"QSTASH_TOKEN"``.
    ``pause`` reads the vendor's headers, ``error_code`` its error bodies.
    """

    def __init__(
        self,
        base_url: str,
        *,
        service: str,
        extra: str,
        credentials: str,
        headers: Mapping[str, str] = MappingProxyType({}),
        timeouts: Timeouts = USUAL_TIMEOUTS,
        retry: RetryRules = USUAL_RETRY,
        pause: Pause = RETRY_AFTER,
        error_code: Callable[[Any], str] = code_of,
        connections: int = 20,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Raises ``NotConfigured`` for a ``base_url`` that is no plain http(s) address, ``ValueError`` for a bad header."""
        address = urlsplit(base_url)
        if address.scheme not in ("http", "https") or not address.hostname or address.query or address.fragment:
            raise NotConfigured(f"the address of {service} must be https://host, without query")
        if address.username or address.password:
            raise NotConfigured(f"the address of {service} must not hold a login: {credentials} has the key")
        self._base = base_url.rstrip("/")
        self._host = address.netloc
        self._service, self._extra, self._credentials = service, extra, credentials
        self._headers = checked(headers)
        self._timeouts, self._retry, self._pause, self._error_code = timeouts, retry, pause, error_code
        self._connections = connections
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._lock = threading.Lock()
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()
        self._told: set[asyncio.Task[HttpAnswer | _Try]] = set()

    def __repr__(self) -> str:
        return f"HttpClient({self._service} at {self._host})"

    async def call(
        self,
        method: str,
        path: str,
        *,
        values: Mapping[str, str] = MappingProxyType({}),
        query: Sequence[tuple[str, str]] = (),
        json: object = ABSENT,
        ndjson: Sequence[object] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        idempotent: bool | None = None,
        retry: RetryRules | None = None,
        expect: Collection[int] = (),
    ) -> HttpAnswer:
        """Ask, again where that is safe, and return an answer of 2xx or of a status in ``expect``.

        ``path`` is a template: ``{id}`` is replaced by the percent-encoded value of that name, ``{+url}`` by the value as it
        is. At most one of ``json``, ``ndjson`` (a line each) and ``content`` is the body. ``idempotent``: whether a try
        that may have had its effect can be repeated; unless given, that of the method (POST and PATCH are not).

        Raises ``NotConfigured`` for 401 and 403, ``ProviderRefused`` for any other status that is not worth trying again,
        and ``ProviderUnavailable`` when the tries are used up: of a call that isn't idempotent nobody then knows the effect.
        """
        target = self._base + filled(path, values) + query_of(query)
        body, kind = body_of(json, ndjson, content)
        sent_headers = {**self._headers, **({"content-type": kind} if kind else {}), **checked(headers)}
        rules = retry or self._retry
        repeatable = method in _SAFE_METHODS if idempotent is None else idempotent
        began, tries = monotonic(), 0
        while True:
            tries += 1
            answer = await self._try(method, target, body, sent_headers)
            asked: float | None = None
            if isinstance(answer, HttpAnswer):
                if 200 <= answer.status < 300 or answer.status in expect:
                    return answer
                asked = self._pause(answer.status, answer.headers, self._clock.micros() / 1e6)
                again = answer.status in rules.statuses and (repeatable or answer.status == 429)
            else:
                again = repeatable or not answer.sent
            wait = rules.wait(tries, asked)
            if not again or tries >= rules.attempts or monotonic() - began + wait > rules.within:
                raise self._error(f"{method} {self._host}{path}", answer, rules, tries, asked)
            await self._sleep(wait)

    async def tell(self, path: str, *, headers: Mapping[str, str], answered: Callable[[int | None], None]) -> None:
        """Ask with GET, once, and return as soon as the request has left: for what takes longer than the caller has.

        ``answered`` hears the status, or ``None`` where there was no answer, if this process lives to get it. Raises
        ``ProviderUnavailable`` if the request could not be sent.
        """
        target, sent_headers = self._base + path, {**self._headers, **checked(headers)}
        left = asyncio.Event()
        asking = asyncio.create_task(self._try("GET", target, b"", sent_headers, left), name="cgk-jobs-tell")
        self._told.add(asking)
        leaving = asyncio.create_task(left.wait())
        try:
            await asyncio.wait({asking, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            # Also if whoever waited has gone: the request may be on its way.
            asking.add_done_callback(lambda task: self._hear(task, answered))
        if asking.cancelled() and not left.is_set():
            raise ProviderUnavailable(
                f"{self._service} at {self._host}: the connections were closed before a request had left"
            )
        if asking.done() and not left.is_set() and isinstance(failed := asking.result(), _Try):
            raise self._error(f"GET {self._host}{path}", failed, self._retry, 1, None)

    def _hear(self, asking: asyncio.Task[HttpAnswer | _Try], answered: Callable[[int | None], None]) -> None:
        self._told.discard(asking)
        if not asking.cancelled() and asking.exception() is None:
            found = asking.result()
            answered(found.status if isinstance(found, HttpAnswer) else None)

    async def close(self) -> None:
        """Close the connections of every loop that still runs. A later call opens new ones."""
        here = asyncio.get_running_loop()
        told = [asking for asking in tuple(self._told) if asking.get_loop() is here]
        for asking in told:
            asking.cancel()
        await asyncio.gather(*told, return_exceptions=True)
        with self._lock:
            clients = list(self._clients.items())
            self._clients.clear()
        for loop, client in clients:
            if loop is here:
                await client.aclose()
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(client.aclose(), loop))

    async def _try(
        self, method: str, target: str, body: bytes, headers: Mapping[str, str], left: asyncio.Event | None = None
    ) -> HttpAnswer | _Try:
        async def trace(event: str, _: Any) -> None:
            if left is not None and event.endswith("send_request_body.complete"):
                left.set()

        client = self._client()
        import httpx

        # Its own log line has the whole address, with the query.
        quiet = _quiet.set(True)
        try:
            async with asyncio.timeout(self._timeouts.total):
                async with client.stream(
                    method, target, content=body, headers=headers, extensions={} if left is None else {"trace": trace}
                ) as response:
                    content = await _limited(response.aiter_bytes())
                    given = {name.lower(): value for name, value in response.headers.items()}
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return _Try(_plain(error), sent=False)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            return _Try(_plain(error), sent=True)
        finally:
            _quiet.reset(quiet)
        if content is None:
            return _Try(f"an answer of more than {LARGEST_ANSWER:,} bytes", sent=True)
        return HttpAnswer(response.status_code, value_of(content), given, content)

    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        with self._lock:
            client = self._clients.get(loop)
            if client is None:
                client = self._clients[loop] = self._open()
            return client

    def _open(self) -> httpx.AsyncClient:
        try:
            import httpx
        except ImportError:
            raise NotConfigured(f"{self._service} needs httpx: pip install 'cgk-jobs[{self._extra}]'") from None
        _silence_addresses()
        limits = self._timeouts
        return httpx.AsyncClient(
            timeout=httpx.Timeout(connect=limits.connect, read=limits.read, write=limits.write, pool=limits.total),
            limits=httpx.Limits(
                max_connections=self._connections, max_keepalive_connections=self._connections, keepalive_expiry=30.0
            ),
            follow_redirects=False,
        )

    def _error(
        self, what: str, answer: HttpAnswer | _Try, rules: RetryRules, tries: int, asked: float | None
    ) -> JobsError:
        times = "" if tries == 1 else f" ({tries} tries)"
        if isinstance(answer, _Try):
            effect = "; it is not known whether it had its effect" if answer.sent else ""
            return ProviderUnavailable(f"{self._service} can't be reached: {what}: {answer.error}{times}{effect}")
        code = self._error_code(answer.json)
        said = f"{what} was answered {answer.status}{f' {code}' if code else ''}"
        if answer.status in (401, 403):
            return NotConfigured(f"{self._service} refused the key: {said}. Check {self._credentials}")
        if answer.status == 429:
            pause = "" if asked is None else f"; it asks for a pause of {asked:.0f} s"
            return ProviderUnavailable(
                f"{self._service} takes no more for now: {said}{times}{pause}", retry_after=asked
            )
        if answer.status >= 500 or answer.status in rules.statuses:
            return ProviderUnavailable(f"{self._service} has a failure: {said}{times}", retry_after=asked)
        return ProviderRefused(f"{self._service} refused a request: {said}", status=answer.status, code=code)


async def _limited(pieces: AsyncIterator[bytes]) -> bytes | None:
    got = bytearray()
    async for piece in pieces:
        got += piece
        if len(got) > LARGEST_ANSWER:
            return None
    return bytes(got)


def _plain(error: Exception) -> str:
    """The kind alone: texts of httpx may repeat addresses, queries and headers."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()


def _silence_addresses() -> None:
    logger = logging.getLogger("httpx")
    if _not_ours not in logger.filters:
        logger.addFilter(_not_ours)


def _not_ours(record: logging.LogRecord) -> bool:
    return not _quiet.get()
