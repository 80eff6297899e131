"""What is set, and whether it is safe: keys, files others can read, an address without a door."""

from __future__ import annotations

import os
import stat

from cgk_jobs.checkup.findings import Finding, bad, fine, mind
from cgk_jobs.settings import Settings

__all__ = ["look_at_settings"]

MAKE_A_KEY = "make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'"


def look_at_settings(settings: Settings) -> list[Finding]:
    """Of the settings alone; nothing is asked of anybody."""
    found = [fine("settings", f"provider {settings.provider}, ledger {settings.ledger}")]
    env = settings.folder / ".env"
    if os.name == "posix" and env.is_file() and stat.S_IMODE(env.stat().st_mode) & 0o077:
        found.append(bad("settings", f"{env} holds keys and can be read by others on this machine", f"chmod 600 {env}"))
    if settings.public_url is not None and not settings.signing_keys:
        found.append(mind("keys", "JOBS_SIGNING_KEY is not set: no approval links, tokens or signed calls", MAKE_A_KEY))
    if settings.public_url is not None and not settings.values.get("JOBS_DASHBOARD_TOKEN"):
        found.append(
            mind(
                "dashboard",
                "JOBS_DASHBOARD_TOKEN is not set: it answers on this machine alone",
                f"{MAKE_A_KEY}, or pass jobs.asgi(authorize=…)",
            )
        )
    if settings.database is not None and settings.values.get("VERCEL_ENV"):
        found.append(
            bad(
                "ledger",
                "a file does not outlive a call on this host",
                "set JOBS_DATABASE_URL to a PostgreSQL database",
            )
        )
    return found
