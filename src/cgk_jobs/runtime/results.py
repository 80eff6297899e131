"""What handlers and steps return, as the JSON text that is stored."""

from __future__ import annotations

from cgk_jobs.errors import InvalidResult, PayloadTooLarge
from cgk_jobs.wire.json import dumps
from cgk_jobs.wire.text import has_nul

__all__ = ["encode_result"]


def encode_result(what: str, value: object, limit: int | None = None) -> str | None:
    """JSON of a value, ``None`` for ``None``. Raises ``InvalidResult``, and ``PayloadTooLarge`` over ``limit`` characters.

    ``what`` names the value in the message. Both end the run: the same would come of another attempt.
    """
    if value is None:
        return None
    try:
        text = dumps(value)
    except ValueError as error:
        raise InvalidResult(
            f"{what}: {error}. Return something JSON has: text, numbers, lists, dicts, models"
        ) from error
    if has_nul(text):
        raise InvalidResult(
            f"{what} has a NUL character (\\x00) in a text, which databases can't store: take it out, or return bytes as base64"
        )
    if limit is not None and len(text) > limit:
        raise PayloadTooLarge(
            f"{what} has {len(text):,} characters of JSON, the limit is {limit:,}. Store the data and return a reference to it"
        )
    return text
