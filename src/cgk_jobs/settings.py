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
from cgk_jobs.wire.signing import MOST_KEYS, SHORTEST_KEY

__all__ = [
    "BUILT",
    "PROVIDERS",
    "Outside",
    "PostgresLogins",
    "Settings",
    "admin_address",
    "load_outside",
    "load_settings",
    "project_folder",
]

PROVIDERS = ("embedded", "postgres", "bullmq", "inngest", "trigger_dev", "qstash", "vercel_cron")
BUILT = ("embedded", "postgres")
"""The providers this version has."""


@dataclass(frozen=True, slots=True)
class PostgresLogins:
    """The addresses of a PostgreSQL ledger, each with its login (docs/tenant-wall.md).

    ``worker`` is the engine's, ``admin`` that of ``cgk jobs schema apply``, ``tenant`` that of handlers and transactional
    sends. They hold passwords, which their ``repr`` leaves out.
    """

    worker: str = field(repr=False)
    admin: str | None = field(default=None, repr=False)
    tenant: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Outside:
    """How people and vendors outside reach this application, and how it knows its own tokens again.

    ``signing_keys``: the one that signs, and perhaps the one before it, which is still accepted; none where nothing is
    signed. They are secret, and left out of ``repr``. ``public_url`` has no slash at its end.
    """

    signing_keys: tuple[str, ...] = field(default=(), repr=False)
    public_url: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What was decided, and from where: ``sources`` maps each setting to the place its value came from.

    The ledger is either a SQLite file, ``database``, or in PostgreSQL, ``postgres``; the other one is ``None``.
    ``ledger`` names it in messages, without passwords.
    """

    provider: str
    database: Path | None
    full_sync: bool
    app: str | None
    folder: Path
    ledger: str
    postgres: PostgresLogins | None = None
    outside: Outside = field(default_factory=Outside)
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
    given = None if database is None else str(database)
    address = look.find("database", given, "JOBS_DATABASE_URL", "database_url")
    name = look.find("provider", provider, "JOBS_PROVIDER", "provider")
    if name is None:
        if address is not None and _is_postgres(address):
            name, look.sources["provider"] = "postgres", f"the database address ({look.sources['database']})"
        else:
            name = "embedded"
    if name not in PROVIDERS:
        raise NotConfigured(
            f"{look.sources['provider']}: unknown provider {name!r}; choose one of {', '.join(PROVIDERS)}"
        )
    if name not in BUILT:
        raise Unsupported(
            f"provider {name!r}", "this version", "Use embedded, or postgres: set JOBS_PROVIDER, or leave it unset."
        )
    synchronous = look.find("synchronous", None, "JOBS_SYNCHRONOUS", "synchronous")
    if synchronous not in (None, "normal", "full"):
        raise NotConfigured(f"{look.sources['synchronous']}: synchronous {synchronous!r}: choose normal or full")
    path = postgres = None
    if name == "postgres":
        if synchronous is not None:
            raise NotConfigured(
                f"{look.sources['synchronous']}: synchronous is for SQLite; with PostgreSQL set synchronous_commit of the "
                "worker's login"
            )
        postgres, ledger = _postgres(look, address)
    else:
        file = "jobs.db" if app == "default" else f"{app}.db"
        path = folder / ".cgk" / file if address is None else _sqlite_path(address, look.sources, folder)
        ledger = str(path)
    return Settings(
        provider=name,
        database=path,
        full_sync=synchronous == "full",
        app=look.find("app", None, "JOBS_APP", "app"),
        folder=folder,
        ledger=ledger,
        postgres=postgres,
        outside=_outside(look),
        sources=look.sources,
    )


def admin_address(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> str | None:
    """The administrator's address of a PostgreSQL ledger, which is there before the others are."""
    look = _Lookup(os.environ if environment is None else environment, folder or project_folder())
    return look.find("admin_database", None, "JOBS_ADMIN_DATABASE_URL", "admin_database_url")


def load_outside(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Outside:
    """The part of the settings that does not depend on the provider. Raises ``NotConfigured``."""
    return _outside(_Lookup(os.environ if environment is None else environment, folder or project_folder()))


def _outside(look: _Lookup) -> Outside:
    # A key in pyproject.toml would be committed with it, so it is not looked for there.
    found = look.find("signing_key", None, "JOBS_SIGNING_KEY", "")
    keys = () if found is None else tuple(key.strip() for key in found.split(","))
    if len(keys) > MOST_KEYS or any(len(key.encode()) < SHORTEST_KEY for key in keys):
        raise NotConfigured(
            f"{look.sources['signing_key']}: one key of at least {SHORTEST_KEY} characters, or two as new,old; "
            "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    url = look.find("public_url", None, "JOBS_PUBLIC_URL", "public_url")
    return Outside(keys, None if url is None else _public_url(url, look.sources["public_url"]))


def _public_url(text: str, source: str) -> str:
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fits, parts = False, urlsplit("")
    if not fits or parts.query or parts.fragment or "@" in parts.netloc:
        raise NotConfigured(
            f"{source}: write where this application is reached from outside, like https://shop.example/jobs"
        )
    return text.rstrip("/")


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
        value = self._table.get(key) if key else None
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


def _is_postgres(address: str) -> bool:
    return address.partition("://")[0].partition("+")[0] in ("postgres", "postgresql") and "://" in address


def _postgres(look: _Lookup, address: str | None) -> tuple[PostgresLogins, str]:
    """The logins, and how the ledger is named. Without an address of its own, the ledger is in the application's database."""
    from cgk_jobs.engine.postgres.address import parse_address

    if address is None:
        address = look.find("database", None, "DATABASE_URL", "")
    if address is None:
        raise NotConfigured(
            f"{look.sources['provider']}: the provider postgres needs JOBS_DATABASE_URL=postgresql://user:password@host/database"
        )
    found = [
        address,
        look.find("admin_database", None, "JOBS_ADMIN_DATABASE_URL", "admin_database_url"),
        look.find("tenant_database", None, "JOBS_TENANT_DATABASE_URL", "tenant_database_url"),
    ]
    for setting, value in zip(("database", "admin_database", "tenant_database"), found, strict=True):
        if value is None:
            continue
        try:
            parse_address(value)
        except NotConfigured as error:
            raise NotConfigured(f"{look.sources[setting]}: {error}") from error
    return PostgresLogins(address, found[1], found[2]), parse_address(address).shown


def _sqlite_path(address: str, sources: Mapping[str, str], folder: Path) -> Path:
    """The file of ``sqlite:///relative``, ``sqlite:////absolute`` or a plain path."""
    if "://" not in address:
        return folder / address
    source = sources["database"]
    if _is_postgres(address):
        raise NotConfigured(
            f"{source} is a PostgreSQL address, and {sources['provider']} says embedded, whose ledger is a SQLite file: "
            "choose the provider postgres, or give sqlite:///path/to/jobs.db"
        )
    parts = urlsplit(address)
    if parts.scheme.partition("+")[0] != "sqlite":
        raise NotConfigured(
            f"{source}: {parts.scheme}:// is no ledger; use sqlite:///path/to/jobs.db or postgresql://host/database"
        )
    if parts.netloc or not parts.path.strip("/") or parts.query:
        raise NotConfigured(f"{source}: write sqlite:///path (relative) or sqlite:////path (absolute), nothing more")
    path = unquote(parts.path.removeprefix("/"))
    if path == ":memory:":
        raise NotConfigured(f"{source}: a ledger in memory would lose every run; give a file")
    return folder / path
