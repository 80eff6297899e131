"""Which part of ``jobs.asgi()`` answers a request: by its path below where the application mounted it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from cgk_jobs.providers.provider import AsgiApp
from cgk_jobs.wire.asgi import Receive, Scope, Send, answer

__all__ = ["Router"]


class Router:
    """An ASGI application made of others. ``find`` answers the one of a path, or ``None``.

    Works where it is mounted (Starlette, FastAPI, Django's and Litestar's ways of telling a mounted application its path)
    and alone. Lifespan is left to the application it is mounted in: ``jobs.lifespan``.
    """

    def __init__(self, find: Callable[[str], Awaitable[AsgiApp | None]]) -> None:
        self._find = find

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await _no_lifespan(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        found = await self._find(path_below_mount(scope))
        if found is None:
            await answer(send, 404, {"error": "nothing is served at this path"})
            return
        await found(scope, receive, send)


def path_below_mount(scope: Mapping[str, Any]) -> str:
    """The path a mounted application is asked for, with a slash in front and none at the end.

    By the ASGI specification ``path`` holds the whole path and ``root_path`` the mount's; some servers leave the mount out of
    ``path``.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if root and (path == root or path.startswith(root + "/")):
        path = path[len(root) :]
    return "/" + path.strip("/")


async def _no_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return
