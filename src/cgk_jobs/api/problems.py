"""From errors to answers: problem documents (RFC 9457) with the error's own text, which says what to do."""

from __future__ import annotations

from cgk_jobs.errors import (
    DuplicateKey,
    ForeignDatabase,
    InvalidEvent,
    InvalidTask,
    InvalidToken,
    JobsError,
    PayloadTooLarge,
    ProviderRefused,
    ProviderUnavailable,
    QuotaExceeded,
    RunNotFound,
    TenantClosed,
    TenantMismatch,
    TenantRequired,
)
from cgk_jobs.wire.asgi import Send
from cgk_jobs.wire.json import dumps
from cgk_jobs.wire.text import storable

__all__ = ["problem_of", "send_problem"]

_STATUS: tuple[tuple[type[JobsError], int], ...] = (
    (RunNotFound, 404),
    (PayloadTooLarge, 413),
    (InvalidEvent, 422),
    (InvalidTask, 422),
    (InvalidToken, 401),
    (DuplicateKey, 409),
    (TenantClosed, 409),
    (QuotaExceeded, 429),
    (TenantMismatch, 403),
    (TenantRequired, 400),
)
_LONGEST = 2_000


def problem_of(error: JobsError | OSError) -> tuple[int, str]:
    """Status and text. What may name a host, a path or a login is not told."""
    if isinstance(error, OSError | ProviderUnavailable | ProviderRefused | ForeignDatabase):
        return 503, "the ledger or the provider does not answer: try again in a few seconds"
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 409)
    return status, storable(str(error))[:_LONGEST]


async def send_problem(
    send: Send, status: int, detail: str, title: str, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """Answer with a problem document."""
    body = dumps({"type": "about:blank", "title": title, "status": status, "detail": detail}).encode()
    lines = [
        (b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"), *headers,
    ]  # fmt: skip
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})
