"""Who wakes the demo's runs where a provider does: your Redis, or the hosted services' doubles on this machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cgk_jobs.errors import NotConfigured

__all__ = ["HOSTED", "Vendor", "vendor"]

HOSTED = ("bullmq", "inngest", "trigger_dev", "qstash", "vercel_cron")
SECRET = "the-demo-s-own-secret-of-some-length"  # noqa: S105 - nobody but the demo calls
RING_EVERY = 1.0
"""Seconds between two rings of the clock, in place of Vercel's minute."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """``values`` and ``signing_keys``: the provider's settings. ``on_call``: the application works only while it is called."""

    values: Mapping[str, str] = field(repr=False)
    signing_keys: tuple[bytes, ...] = field(default=(), repr=False)
    on_call: bool = False


@contextlib.asynccontextmanager
async def vendor(provider: str, public_url: str) -> AsyncGenerator[Vendor, None]:
    """What wakes runs, for the length of the block. ``public_url``: where the application is reached.

    Raises ``NotConfigured`` where BullMQ has no Redis, or a package is missing.
    """
    if provider == "bullmq":
        url = os.environ.get("REDIS_URL")
        if not url:
            raise NotConfigured(
                "the demo needs a Redis for BullMQ: start one, and set REDIS_URL=redis://127.0.0.1:6379"
            )
        yield Vendor({"REDIS_URL": url})
        return
    try:
        made = _double(provider, public_url)
    except ImportError as error:
        raise NotConfigured(
            f"the demo needs the package {error.name} for this provider: pip install 'cgk-jobs[{provider}]' uvicorn"
        ) from error
    async with made as double:
        if provider == "vercel_cron":
            values = {"CRON_SECRET": SECRET, "JOBS_PUBLIC_URL": public_url, "VERCEL_ENV": "production"}
            yield Vendor(values, on_call=True)
            return
        values = double.environment(public_url)
        keys = (values["JOBS_SIGNING_KEY"].encode(),) if "JOBS_SIGNING_KEY" in values else ()
        yield Vendor(values, keys)


def _double(provider: str, public_url: str) -> contextlib.AbstractAsyncContextManager[Any]:
    if provider == "qstash":
        from cgk_jobs.testing.peers.qstash import QStashPeer

        return QStashPeer()
    if provider == "inngest":
        from cgk_jobs.testing.peers.inngest import InngestPeer

        return InngestPeer()
    if provider == "trigger_dev":
        from cgk_jobs.testing.peers.trigger_dev import TriggerDevPeer

        return TriggerDevPeer()
    from cgk_jobs.providers.vercel_cron.crons import entry
    from cgk_jobs.testing.peers.vercel_clock import VercelClock

    return VercelClock(public_url, SECRET, [entry("", "pro")], every=RING_EVERY)
