"""Bodies and queries, checked from the outside in: encoding, type, length, text, depth, fields."""

from __future__ import annotations

from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from cgk_jobs.web.access import Refused
from cgk_jobs.wire.asgi import Receive, Scope, header_of, read_body
from cgk_jobs.wire.text import is_storable

__all__ = ["LONGEST_BODY", "DEEPEST", "read_json", "read_query"]

LONGEST_BODY = 1_048_576
"""Bytes."""
DEEPEST = 64
"""Arrays and objects within each other."""
_LONGEST_QUERY = 4_096
M = TypeVar("M", bound=BaseModel)


async def read_json(scope: Scope, receive: Receive, model: type[M]) -> M:
    """The body as a model. Raises ``Refused`` and ``BadRequest``."""
    names = [key.lower() for key, _ in scope["headers"]]
    if b"content-encoding" in names and header_of(scope, "content-encoding") != "identity":
        raise Refused(415, "send the body as it is, not compressed")
    body = await read_body(scope, receive, LONGEST_BODY)
    if not body:
        return _checked(model, b"{}")
    kind, _, rest = (header_of(scope, "content-type") or "").partition(";")
    charset = rest.strip().lower().removeprefix("charset=").strip('"')
    if kind.strip().lower() != "application/json" or charset not in ("", "utf-8"):
        raise Refused(415, "send JSON: Content-Type: application/json, in UTF-8")
    try:
        body.decode()
        value = from_json(body, allow_inf_nan=False)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "the body is not JSON in UTF-8") from error
    if not isinstance(value, dict):
        raise Refused(400, "the body is not a JSON object")
    if _is_too_deep(value):
        raise Refused(400, f"the body is nested deeper than {DEEPEST}")
    return _checked(model, body)


def read_query(scope: Scope, model: type[M]) -> M:
    """The query as a model. Raises ``Refused``."""
    raw: bytes = scope.get("query_string", b"")
    if len(raw) > _LONGEST_QUERY:
        raise Refused(414, f"the query is longer than {_LONGEST_QUERY:,} bytes")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=50, errors="strict")
    except ValueError as error:
        raise Refused(400, "the query is not URL-encoded UTF-8") from error
    given = dict(pairs)
    if len(given) != len(pairs):
        raise Refused(400, "the query says the same name twice")
    if not all(is_storable(value) for value in given.values()):
        raise Refused(400, "the query has a NUL character")
    try:
        return model.model_validate_strings(given)
    except ValidationError as error:
        raise Refused(422, _what_is_wrong(error, "query")) from error


def _checked(model: type[M], text: bytes) -> M:
    try:
        # From the text, so that moments are read by JSON's rules and whole numbers are not taken for truth.
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise Refused(422, _what_is_wrong(error, "body")) from error


def _what_is_wrong(error: ValidationError, where: str) -> str:
    """Which fields and why; of what was sent, names of fields alone, cut."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [f"{'.'.join(str(part)[:60] for part in one['loc']) or where}: {one['msg'][:200]}" for one in found[:5]]
    return f"the {where} does not fit: " + "; ".join(lines)


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
