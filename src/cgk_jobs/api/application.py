"""The ASGI application of the API: gate, route, permission, body, in this order; then the handler."""

from __future__ import annotations

import logging
from collections.abc import Collection
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from cgk_jobs.api import events, operations, runs
from cgk_jobs.api.openapi import document
from cgk_jobs.api.problems import problem_of, send_problem
from cgk_jobs.api.progress import MOST_STREAMS, stream
from cgk_jobs.api.reading import read_json, read_query
from cgk_jobs.api.routing import Application, Call, Route, find_route
from cgk_jobs.errors import JobsError
from cgk_jobs.web.access import Access, Refused
from cgk_jobs.web.access_gate import Gate
from cgk_jobs.web.router import path_below_mount
from cgk_jobs.wire.asgi import BadRequest, Receive, Scope, Send, header_of
from cgk_jobs.wire.json import dumps
from cgk_jobs.wire.text import is_storable

__all__ = ["PREFIX", "ROUTES", "Api"]

PREFIX = "/api/"
_logger = logging.getLogger("cgk_jobs.api")


async def _openapi(call: Call) -> Any:
    del call
    return document(ROUTES, version("cgk-jobs"))


async def _progress(call: Call) -> Any:
    """Looked at once before the stream begins, so that a missing run is a 404."""
    return await call.run(call.path["run_id"])


ROUTES: tuple[Route, ...] = (
    *runs.ROUTES,
    Route("GET", "/runs/{run_id}/progress", "read", "A run's state and progress as server-sent events", _progress,
          for_run=True, stream=True),
    *events.ROUTES,
    *operations.ROUTES,
    Route("GET", "/openapi.json", "read", "This document", _openapi),
)  # fmt: skip
"""Every route there is. A test walks it with a stranger's token."""


class Api:
    """``origins``: those of pages whose scripts may read runs with a token of one run, such as ``https://shop.example``."""

    def __init__(self, jobs: Application, gate: Gate, origins: Collection[str] = ()) -> None:
        self._jobs = jobs
        self._gate = gate
        self._origins = frozenset(origins)
        self._streams = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        cross = self._cross_origin(scope)
        headers: tuple[tuple[bytes, bytes], ...] = cross
        try:
            if scope["method"] == "OPTIONS" and cross:
                await send({"type": "http.response.start", "status": 204, "headers": list(cross)})
                await send({"type": "http.response.body", "body": b""})
                return
            await self._answer(scope, receive, send, cross)
            return
        except Refused as error:
            status, detail = error.status, error.reason
            if status == 401:
                headers += ((b"www-authenticate", b"Bearer"),)
        except BadRequest as error:
            status, detail = error.status, str(error)
        except (JobsError, OSError) as error:
            status, detail = problem_of(error)
            if status in (429, 503):
                headers += ((b"retry-after", b"5"),)
        except Exception:
            _logger.exception("a call of the API failed")
            status, detail = 500, "this call failed here; the application's log says more"
        await send_problem(send, status, detail, HTTPStatus(status).phrase, headers)

    def _cross_origin(self, scope: Scope) -> tuple[tuple[bytes, bytes], ...]:
        """The headers by which a browser lets another origin's script read the answer, where that is configured."""
        origin = header_of(scope, "origin")
        below = path_below_mount(scope).removeprefix(PREFIX)
        if origin is None or origin not in self._origins or not below.startswith("runs/"):
            return ()
        return (
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-allow-methods", b"GET"),
            (b"access-control-allow-headers", b"authorization"),
            (b"access-control-max-age", b"600"),
            (b"vary", b"origin"),
        )

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, headers: tuple[tuple[bytes, bytes], ...]
    ) -> None:
        path = path_below_mount(scope).removeprefix("/api")
        if not is_storable(path):
            raise Refused(400, "the path has a NUL character or is no UTF-8")
        # Who calls comes first: a stranger does not even learn which paths there are.
        access, asked = await self._access(scope, path)
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        route, names = find_route(ROUTES, method, path)
        _permit(access, route)
        query = read_query(asked, route.query)
        body = await read_json(scope, receive, route.body) if method != "GET" else route.body()
        call = Call(self._jobs, access, names, query, body, _key(scope))
        found = await route.handler(call)
        if route.stream:
            await self._stream(call, receive, send, headers)
            return
        content = dumps(found).encode()
        lines = [
            (b"content-type", b"application/json"), (b"content-length", str(len(content)).encode()),
            (b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"), *headers,
        ]  # fmt: skip
        await send({"type": "http.response.start", "status": route.status, "headers": lines})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})

    async def _access(self, scope: Scope, path: str) -> tuple[Access, Scope]:
        """Who calls. A browser's ``EventSource`` sends no header, so a token of one run may stand in the query there."""
        raw: bytes = scope.get("query_string", b"")
        if path.endswith("/progress") and raw.startswith(b"token=") and b"&" not in raw:
            access = await self._gate.opened(raw.removeprefix(b"token=").decode("latin-1"))
            if access.run_id is None:
                raise Refused(401, "only a token of one run may stand in an address: make one with jobs.tokens.for_run")
            return access, {**scope, "query_string": b""}
        found = await self._gate.access(scope)
        if found is None:
            raise Refused(401, "log in, or send a token: Authorization: Bearer TOKEN")
        return found, scope

    async def _stream(self, call: Call, receive: Receive, send: Send, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        if self._streams >= MOST_STREAMS:
            raise Refused(503, "too many are watching at the moment: try again in a few seconds")
        self._streams += 1
        try:
            await stream(call, receive, send, list(headers))
        finally:
            self._streams -= 1


def _permit(access: Access, route: Route) -> None:
    if access.run_id is not None and not route.for_run:
        raise Refused(403, "this token reads one run and nothing else")
    if not access.may(route.action):
        raise Refused(403, f"this login lacks the action {route.action}")
    if route.whole and access.tenants is not None:
        raise Refused(403, "this concerns all tenants, and this login is for some")


def _key(scope: Scope) -> str | None:
    names = [key.lower() for key, _ in scope["headers"]]
    if b"idempotency-key" not in names:
        return None
    key = header_of(scope, "idempotency-key")
    if not key or len(key) > 255 or not key.isascii() or not key.isprintable():
        raise Refused(400, "Idempotency-Key is once 1 to 255 printable ASCII characters")
    return key
