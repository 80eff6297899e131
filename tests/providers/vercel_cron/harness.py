"""An application set up as on Vercel."""

from __future__ import annotations

from pathlib import Path

from cgk_jobs.settings import Settings

SECRET = "a-secret-of-thirty-two-characters"
MOUNT = "/jobs"
CRONS = [{"path": "/cron/tick", "schedule": "* * * * *"}]


def settings_of(folder: Path, public_url: str | None, **values: str) -> Settings:
    """Of a deployed application. Its ledger is a file here: the engine behind a provider is another suite's concern."""
    path = folder / "jobs.db"
    return Settings(
        provider="vercel_cron",
        database=path,
        full_sync=False,
        app=None,
        folder=folder,
        ledger=str(path),
        public_url=public_url,
        values={"CRON_SECRET": SECRET, "VERCEL_ENV": "production", **values},
    )
