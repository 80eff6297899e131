"""What a tenant id is. Parsed, never defaulted."""

from __future__ import annotations

import re

from cgk_jobs.errors import InvalidEvent, TenantRequired

__all__ = ["MAX_LENGTH", "PATTERN", "PLATFORM", "is_tenant_id", "parse_tenant_id"]

MAX_LENGTH = 63
PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"

PLATFORM = "platform"
"""The installation itself. Its runs carry this id; it is refused wherever a user names a tenant."""

_matches = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}").fullmatch


def is_tenant_id(value: object) -> bool:
    """Whether ``value`` may name a tenant (``platform`` may not)."""
    return isinstance(value, str) and value != PLATFORM and _matches(value) is not None


def parse_tenant_id(value: object) -> str:
    """``value`` as tenant id.

    Raises ``TenantRequired`` for ``None``, empty or blank, ``InvalidEvent`` for anything that isn't 1 to 63 characters
    of ``a-z 0-9 _ -`` starting with a letter or digit, and for the reserved ``platform``.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        raise TenantRequired(
            "tenant_id is missing or blank: every event, run and reader has a tenant. Pass tenant_id=…"
        )
    if not isinstance(value, str):
        raise InvalidEvent(f"tenant_id must be a str, got {type(value).__name__}")
    if value == PLATFORM:
        raise InvalidEvent(f"tenant_id {PLATFORM!r} is reserved for the installation itself; choose another id")
    if _matches(value) is None:
        shown = value if len(value) <= MAX_LENGTH else value[:MAX_LENGTH] + "…"
        raise InvalidEvent(
            f"tenant_id {shown!r} is not valid: 1 to {MAX_LENGTH} characters of a-z 0-9 _ -, "
            "starting with a letter or digit"
        )
    return value
