"""JSON text in and out, by pydantic-core: datetimes, decimals, enums, dataclasses and models have one form each."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json, to_json

__all__ = ["dumps", "loads"]


def dumps(value: object) -> str:
    """Compact JSON text. Raises ``ValueError`` naming the type that has no JSON form."""
    try:
        return to_json(value).decode()
    except Exception as error:
        raise ValueError(f"{type(value).__name__} can't be stored as JSON: {error}") from error


def loads(text: str | bytes) -> Any:
    """The value of JSON text. Raises ``ValueError`` if it isn't JSON."""
    return from_json(text)
