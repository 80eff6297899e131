"""How the provider reaches Redis."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from cgk_jobs.errors import NotConfigured
from cgk_jobs.providers.making import ProviderContext
from cgk_jobs.providers.provider import Setup, SetupKey

__all__ = ["SETUP", "RedisSettings", "read_settings"]

_APP = re.compile(r"[^A-Za-z0-9._-]+")

SETUP = Setup(
    title="BullMQ + Redis",
    sign_up=None,
    keys=(
        SetupKey(
            "REDIS_URL",
            "https://redis.io/docs/latest/operate/oss_and_stack/install/",
            "The address of your Redis, with user and password if it has any",
            r"(rediss?|valkeys?)://\S+",
            "redis://:password@127.0.0.1:6379/0",
        ),
    ),
    notes=(
        "Redis 6.2 or newer with maxmemory-policy noeviction; AOF persistence is advised.",
        "Workers run in your own processes: cgk jobs work, or inside the web process.",
    ),
)


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """``shown`` is the address without user and password. ``prefix`` is before every key of BullMQ."""

    url: str = field(repr=False)
    shown: str
    app: str
    prefix: str = "bull"

    def queue_name(self, queue: str) -> str:
        """The BullMQ queue of one of the ledger's. It has no colon, which BullMQ keeps for itself."""
        return f"cgk-{self.app}-{queue}"


def read_settings(context: ProviderContext) -> RedisSettings:
    """From ``REDIS_URL``. Raises ``NotConfigured`` if it is missing or no address of a Redis."""
    url = context.values.get("REDIS_URL")
    if not url:
        raise NotConfigured("the provider bullmq needs REDIS_URL=redis://user:password@host:6379/0")
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
    except ValueError as error:
        raise NotConfigured("REDIS_URL: its port is no number") from error
    if parts.scheme not in ("redis", "rediss", "valkey", "valkeys") or not parts.hostname:
        raise NotConfigured(
            "REDIS_URL is no address of a Redis: redis://user:password@host:6379/0 (rediss:// with TLS)"
        )
    if parts.path.strip("/") and not parts.path.strip("/").isdecimal():
        raise NotConfigured("REDIS_URL: what follows the host is the number of a database, such as /0")
    scheme = {"valkey": "redis", "valkeys": "rediss"}.get(parts.scheme, parts.scheme)
    shown = f"{scheme}://{parts.hostname}:{port}{parts.path or '/0'}"
    app = _APP.sub("-", context.app).strip("-") or "default"
    return RedisSettings(scheme + url[len(parts.scheme) :], shown, app)
