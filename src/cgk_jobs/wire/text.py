"""Text that every ledger can store: no NUL character, which PostgreSQL has no place for, and no half of a surrogate pair."""

from __future__ import annotations

import re

__all__ = ["has_nul", "is_storable", "storable"]

_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000").search


def is_storable(text: str) -> bool:
    """Whether text is stored as it is."""
    return storable(text) == text


def storable(text: str) -> str:
    """The text, what can't be stored written out (``\\x00``, ``\\ud800``): for messages, of which nothing may be lost."""
    if "\x00" in text:
        text = text.replace("\x00", "\\x00")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode(errors="backslashreplace").decode()
    return text


def has_nul(json: str) -> bool:
    """Whether a text of this JSON has a NUL character, which JSON can say and PostgreSQL's own JSON types can't."""
    return "\\u0000" in json and _ESCAPED_NUL(json) is not None
