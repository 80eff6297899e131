"""What the rows of an export are called, on every engine."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["ExportRow", "kind_of"]

_KINDS = {
    "runs": "run",
    "finished_runs": "run",
    "steps": "step",
    "attempts": "attempt",
    "run_logs": "log",
    "run_tags": "tag",
    "unrouted_events": "event",
    "idempotency_keys": "key",
    "ticks": "tick",
    "tenants": "settings",
    "tenant_quotas": "quotas",
}


class ExportRow(NamedTuple):
    """One row of a tenant. ``kind``: what it is; ``row``: its columns as they are stored."""

    kind: str
    row: dict[str, Any]


def kind_of(table: str) -> str:
    """What the rows of a table are; a table with no kind of its own names itself."""
    return _KINDS.get(table, table)
