"""JSON in the one form the vendor signs (RFC 8785), by the package its own SDK takes for that."""

from __future__ import annotations

import json

__all__ = ["canonical"]


def canonical(body: bytes) -> bytes | None:
    """The body's canonical form; ``None`` for what is no JSON."""
    import jcs  # pyright: ignore[reportMissingTypeStubs]

    try:
        form: object = jcs.canonicalize(json.loads(body))  # pyright: ignore[reportUnknownMemberType]
    except (ValueError, RecursionError):
        return None
    return form if isinstance(form, bytes) else None
