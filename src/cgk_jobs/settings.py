"""Where settings come from: argument, process environment, ``.env`` beside pyproject.toml, ``[tool.cgk-jobs]`` in it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values

from cgk_jobs.errors import NotConfigured, Unsupported

__all__ = ["PROVIDERS", "Settings", "load_settings", "project_folder"]

PROVIDERS = ("embedded", "postgres", "bullmq", "inngest", "trigger_dev", "qstash", "vercel_cron")
BUILT = ("embedded",)
"""The providers this version has."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What was decided, and from where: ``sources`` maps each setting to the place its value came from."""

    provider: str
    database: Path
    full_sync: bool
    app: str | None
    folder: Path
    sources: dict[str, str] = field(default_factory=dict[str, str])


def project_folder(start: Path | None = None) -> Path:
    """The folder of the nearest pyproject.toml at or above ``start`` (the working directory), else ``start`` itself."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").is_file():
            return folder
    return here


def load_settings(
    *,
    provider: str | None = None,
    database: str | Path | None = None,
    app: str = "default",
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """The settings of an application. Relative paths count from the project's folder.

    Raises ``NotConfigured`` naming the setting and its source, and ``Unsupported`` for a provider this version lacks.
    """
    folder = folder or project_folder()
    look = _Lookup(os.environ if environment is None else environment, folder)
    if provider is not None and "://" in provider:
        if database is not None:
            raise NotConfigured("Jobs(provider) is a database address and database= is given too: give one of them")
        provider, database = None, provider
    name = look.find("provider", provider, "JOBS_PROVIDER", "provider") or "embedded"
    if name not in PROVIDERS:
        raise NotConfigured(
            f"{look.sources['provider']}: unknown provider {name!r}; choose one of {', '.join(PROVIDERS)}"
        )
    if name not in BUILT:
        raise Unsupported(f"provider {name!r}", "this version", "Use embedded: unset JOBS_PROVIDER.")
    address = look.find("database", None if database is None else str(database), "JOBS_DATABASE_URL", "database_url")
    synchronous = look.find("synchronous", None, "JOBS_SYNCHRONOUS", "synchronous") or "normal"
    if synchronous not in ("normal", "full"):
        raise NotConfigured(f"{look.sources['synchronous']}: synchronous {synchronous!r}: choose normal or full")
    file = "jobs.db" if app == "default" else f"{app}.db"
    path = folder / ".cgk" / file if address is None else _sqlite_path(address, look.sources["database"], folder)
    return Settings(
        provider=name,
        database=path,
        full_sync=synchronous == "full",
        app=look.find("app", None, "JOBS_APP", "app"),
        folder=folder,
        sources=look.sources,
    )


class _Lookup:
    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = environment
        self._folder = folder
        self._file = {name: value for name, value in dotenv_values(folder / ".env").items() if value is not None}
        self._table = _table(folder / "pyproject.toml")
        self.sources: dict[str, str] = {}

    def find(self, setting: str, argument: str | None, variable: str, key: str) -> str | None:
        if argument is not None:
            self.sources[setting] = "argument"
            return argument
        if self._environment.get(variable):
            self.sources[setting] = f"environment variable {variable}"
            return self._environment[variable]
        if self._file.get(variable):
            self.sources[setting] = f"{variable} in {self._folder / '.env'}"
            return self._file[variable]
        value = self._table.get(key)
        if value is not None:
            self.sources[setting] = f"[tool.cgk-jobs] {key} in {self._folder / 'pyproject.toml'}"
            if not isinstance(value, str):
                raise NotConfigured(f"{self.sources[setting]} must be text, not {type(value).__name__}")
            return value
        self.sources[setting] = "default"
        return None


def _table(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        tool = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise NotConfigured(f"{path} can't be read: {error}") from error
    return cast("dict[str, Any]", tool.get("cgk-jobs", {}))


def _sqlite_path(address: str, source: str, folder: Path) -> Path:
    """The file of ``sqlite:///relative``, ``sqlite:////absolute`` or a plain path."""
    if "://" not in address:
        return folder / address
    parts = urlsplit(address)
    scheme = parts.scheme.partition("+")[0]
    if scheme in ("postgres", "postgresql"):
        raise Unsupported(f"a PostgreSQL ledger ({source})", "this version", "Use sqlite:///path/to/jobs.db.")
    if scheme != "sqlite":
        raise NotConfigured(f"{source}: {parts.scheme}:// is no ledger; use sqlite:///path/to/jobs.db")
    if parts.netloc or not parts.path.strip("/") or parts.query:
        raise NotConfigured(f"{source}: write sqlite:///path (relative) or sqlite:////path (absolute), nothing more")
    path = unquote(parts.path.removeprefix("/"))
    if path == ":memory:":
        raise NotConfigured(f"{source}: a ledger in memory would lose every run; give a file")
    return folder / path
