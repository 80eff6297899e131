"""Requests and answers at the level of ASGI, for endpoints that must check before they read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from cgk_jobs.wire.json import dumps

__all__ = ["BadRequest", "Receive", "Scope", "Send", "answer", "header_of", "read_body"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class BadRequest(Exception):
    """The request can't be read; answer ``status`` and say no more."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def header_of(scope: Scope, name: str) -> str | None:
    """A header's text (Latin-1), ``None`` if it is not there or there more than once: two answers to one question are none."""
    wanted = name.lower().encode()
    found = [value for key, value in scope["headers"] if key.lower() == wanted]
    return found[0].decode("latin-1") if len(found) == 1 else None


async def read_body(scope: Scope, receive: Receive, most: int) -> bytes:
    """The body, of at most ``most`` bytes.

    Raises ``BadRequest``: 413 as soon as it is known to be longer, 400 if it ends before its announced length.
    """
    announced = header_of(scope, "content-length")
    if announced is not None and announced.isascii() and announced.isdigit():
        # Compared by length first: a number of a thousand digits is no reason to compute one.
        if len(announced) > 18 or int(announced) > most:
            raise BadRequest(413, "the body is too long")
    elif announced is not None:
        raise BadRequest(400, "the announced length is no number")
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise BadRequest(400, "the body was broken off")
        body += message.get("body", b"")
        if len(body) > most:
            raise BadRequest(413, "the body is too long")
        if not message.get("more_body", False):
            break
    if announced is not None and len(body) != int(announced):
        raise BadRequest(400, "the body is not of the announced length")
    return bytes(body)


async def answer(send: Send, status: int, body: object = None, headers: Mapping[str, str] | None = None) -> None:
    """Answer with JSON, or with nothing for ``None``."""
    content = b"" if body is None else dumps(body).encode()
    lines = [(b"content-length", str(len(content)).encode()), (b"cache-control", b"no-store")]
    if content:
        lines.append((b"content-type", b"application/json"))
    lines += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": content})
