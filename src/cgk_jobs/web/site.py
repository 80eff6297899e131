"""The pages and endpoints of one application, below wherever ``jobs.asgi()`` is mounted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from cgk_jobs.engine.store import Store
from cgk_jobs.errors import JobsError
from cgk_jobs.providers.provider import AsgiApp, Health
from cgk_jobs.web.approving import ApprovalPage, Approver
from cgk_jobs.web.router import Router
from cgk_jobs.wire.asgi import Receive, Scope, Send, answer

__all__ = ["Site"]


APPROVE = "/approve/"
"""Where approval links lead."""


class Reachable(Protocol):
    """The work of this process, as far as callers reach it."""

    def routes(self) -> Mapping[str, AsgiApp]:
        """What providers' calls are answered by."""
        ...

    def health(self) -> Health:
        """Whether work gets done."""
        ...


class Site:
    """Makes the ASGI application. ``on_call``: the work of this process, begun for calls alone if it was not started.

    ``running``: the same, or ``None`` where nothing was begun. ``parts``: applications by path, or by what their paths begin
    with where it ends with a slash; they answer without work being begun.
    """

    def __init__(
        self,
        store: Store,
        approver: Approver,
        on_call: Callable[[], Awaitable[Reachable]],
        running: Callable[[], Reachable | None],
        parts: Mapping[str, AsgiApp],
    ) -> None:
        self._store = store
        self._approver = approver
        self._on_call = on_call
        self._running = running
        self._parts = parts

    def app(self) -> Router:
        """The ASGI application."""
        return Router(self._find)

    async def _find(self, path: str) -> AsgiApp | None:
        if path == "/health":
            return self._health
        if path.startswith(APPROVE):
            return ApprovalPage(self._approver, path.removeprefix(APPROVE))
        part = _longest(self._parts, path)
        if part is not None:
            return part
        try:
            routes = (await self._on_call()).routes()
        except (JobsError, OSError):
            # Whoever calls is told no more than that it should call again.
            return _unavailable
        return _longest(routes, path)

    async def _health(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Up: this process claims, or could. Says no more to whoever asks."""
        if scope["method"] not in ("GET", "HEAD"):
            await answer(send, 405, {"error": "only GET"}, {"allow": "GET, HEAD"})
            return
        running = self._running()
        up = running is None or running.health().ok
        if up:
            try:
                await self._store.reads.paused()
            except (JobsError, OSError):
                up = False
        await answer(send, 200 if up else 503, {"status": "up" if up else "down"})


def _longest(routes: Mapping[str, AsgiApp], path: str) -> AsgiApp | None:
    """The application of a path, else of the longest beginning of it that ends with a slash."""
    found = routes.get(path)
    if found is None:
        below = [prefix for prefix in routes if prefix.endswith("/") and path.startswith(prefix)]
        found = routes[max(below, key=len)] if below else None
    return found


async def _unavailable(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, 503, {"error": "not available at the moment"}, {"retry-after": "5"})
