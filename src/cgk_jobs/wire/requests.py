"""The parts of a request and of an answer: address, headers, body, error code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast
from urllib.parse import quote

from cgk_jobs.wire.json import dumps, loads

__all__ = ["ABSENT", "body_of", "checked", "code_of", "filled", "query_of", "value_of"]

ABSENT: Final = object()
"""No JSON body, which is another thing than ``null``."""

_PLACEHOLDER = re.compile(r"\{(\+?)([a-z_]+)\}")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


def filled(path: str, values: Mapping[str, str]) -> str:
    """``path`` with ``{name}`` replaced by the percent-encoded value, and ``{+name}`` by the value as it is.

    Raises ``ValueError`` for an empty value or one of dots, which would lead to another address.
    """

    def value(found: re.Match[str]) -> str:
        raw, name = found.groups()
        text = values[name]
        if text in ("", ".", ".."):
            raise ValueError(f"{name} of {path} can't be {text!r}")
        return quote(text, safe=":/?#[]@!$&'()*+,;=-._~%" if raw else "")

    return _PLACEHOLDER.sub(value, path)


def query_of(pairs: Sequence[tuple[str, str]]) -> str:
    """``?a=1&b=2``, percent-encoded; empty without pairs."""
    return "?" + "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs) if pairs else ""


def body_of(json: object, ndjson: Sequence[object] | None, content: bytes | None) -> tuple[bytes, str]:
    """The bytes of a body and their content type (empty: not known). Raises ``ValueError`` if more than one is given."""
    if (json is not ABSENT) + (ndjson is not None) + (content is not None) > 1:
        raise ValueError("give one of json, ndjson and content")
    if json is not ABSENT:
        return dumps(json).encode(), "application/json"
    if ndjson is not None:
        return "".join(f"{dumps(line)}\n" for line in ndjson).encode(), "application/x-ndjson"
    return content or b"", ""


def value_of(content: bytes) -> Any:
    """The JSON value of an answer, ``None`` if it is empty or no JSON."""
    try:
        return loads(content) if content else None
    except ValueError:
        return None


def checked(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers, names in lower case. Raises ``ValueError`` for a value with a line end or outside ASCII, not showing it."""
    for name, value in headers.items():
        if not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"the header {name} has a character that no header may have")
    return {name.lower(): value for name, value in headers.items()}


def code_of(body: Any) -> str:
    """The vendor's word for an error: ``code`` of a JSON answer, or of its ``error`` or first ``errors``; else empty.

    What doesn't look like a code is left out: texts may repeat what was sent.
    """
    for place in _places(body):
        if isinstance(place, dict):
            code = cast(dict[str, object], place).get("code")
            if isinstance(code, str) and _CODE.fullmatch(code):
                return code
    return ""


def _places(body: object) -> list[object]:
    if not isinstance(body, dict):
        return []
    fields = cast(dict[str, object], body)
    errors = fields.get("errors")
    return [fields, fields.get("error"), *(cast(list[object], errors)[:1] if isinstance(errors, list) else [])]
