"""Whether a Redis is fit to hold wake-ups."""

from __future__ import annotations

from typing import Any

from cgk_jobs.errors import NotConfigured

__all__ = ["check_server"]

OLDEST = (6, 2)


async def check_server(client: Any, shown: str) -> tuple[str, ...]:
    """Ask a server; returns what ought to be mended although it works.

    Raises ``NotConfigured`` for one that is too old, or may throw wake-ups away when its memory is full: BullMQ's keys belong
    together, and a server that evicts some of them breaks the others.
    """
    info: dict[str, Any] = await client.info()
    version = str(info.get("valkey_version") or info.get("redis_version") or "0")
    if _parts(str(info.get("redis_version") or version)) < OLDEST:
        raise NotConfigured(f"{shown} is Redis {version}: BullMQ needs 6.2 or newer")
    if info.get("role") in ("slave", "replica"):
        raise NotConfigured(f"{shown} is a read-only replica: give the address of its master in REDIS_URL")
    warnings: list[str] = []
    policy = str(info.get("maxmemory_policy", ""))
    if policy and policy != "noeviction":
        raise NotConfigured(
            f"{shown} has maxmemory-policy {policy}, under which it throws jobs away when its memory is full: "
            "set maxmemory-policy noeviction"
        )
    if not policy:
        warnings.append("this Redis does not tell its maxmemory-policy: see to it that it is noeviction")
    if not int(info.get("aof_enabled", 0) or 0):
        warnings.append(
            "this Redis keeps no append-only file: after a crash of it wake-ups of its last seconds are late by half a minute, "
            "until the ledger hands them out again. To avoid that: appendonly yes"
        )
    return tuple(warnings)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
