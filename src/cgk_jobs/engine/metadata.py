"""What a handler keeps about its run: a small JSON object, merged field by field. Pure."""

from __future__ import annotations

from typing import Any, cast

from cgk_jobs.errors import PayloadTooLarge
from cgk_jobs.wire.json import dumps, loads

__all__ = ["MAX_METADATA", "merged_metadata"]

MAX_METADATA = 16_384
"""Characters of JSON kept of one run."""


def merged_metadata(before: str | None, changes: str) -> str:
    """``before`` with the fields of ``changes`` written over it; a field set to ``null`` is removed.

    Raises ``PayloadTooLarge`` over the limit.
    """
    values = {} if before is None else cast("dict[str, Any]", loads(before))
    values |= cast("dict[str, Any]", loads(changes))
    text = dumps({name: value for name, value in values.items() if value is not None})
    if len(text) > MAX_METADATA:
        raise PayloadTooLarge(
            f"the metadata of a run has {len(text):,} characters of JSON, the limit is {MAX_METADATA:,}: "
            "store the data and keep a reference, or set fields to None"
        )
    return text
