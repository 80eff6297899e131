"""Where settings come from: argument, process environment, ``.env`` beside pyproject.toml, ``[tool.cgk-jobs]`` in it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values

from cgk_jobs.errors import NotConfigured
from cgk_jobs.providers.making import third_party
from cgk_jobs.wire.signing import MOST_KEYS, SHORTEST_KEY

__all__ = [
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
"""The providers of this package."""
SHORTEST_TOKEN = 24
"""Characters of ``JOBS_DASHBOARD_TOKEN``."""
VARIABLES = (
    "REDIS_URL",
    "INNGEST_EVENT_KEY", "INNGEST_SIGNING_KEY", "INNGEST_SIGNING_KEY_FALLBACK", "INNGEST_BASE_URL", "INNGEST_API_BASE_URL",
    "INNGEST_EVENT_API_BASE_URL", "INNGEST_DEV", "INNGEST_ENV",
    "JOBS_INNGEST_CONCURRENCY", "JOBS_INNGEST_TENANT_CONCURRENCY", "JOBS_INNGEST_FUNCTIONS_PER_APP", "JOBS_INNGEST_FUNCTION_EACH",
    "JOBS_INNGEST_SCHEDULE_EACH", "JOBS_INNGEST_DRAIN_SECONDS", "JOBS_INNGEST_RETRIES", "JOBS_INNGEST_CONNECT",
    "TRIGGER_SECRET_KEY", "TRIGGER_PROJECT_REF", "TRIGGER_API_URL", "JOBS_TRIGGER_ANSWER_WITHIN", "JOBS_TRIGGER_DRAIN_SECONDS",
    "QSTASH_TOKEN", "QSTASH_URL", "QSTASH_CURRENT_SIGNING_KEY", "QSTASH_NEXT_SIGNING_KEY",
    "JOBS_QSTASH_PARALLELISM", "JOBS_QSTASH_TENANT_PARALLELISM", "JOBS_QSTASH_REQUEST_LIMIT", "JOBS_QSTASH_DRAIN_SECONDS",
    "JOBS_QSTASH_RETRIES", "JOBS_QSTASH_SCHEDULE_EACH",
    "CRON_SECRET", "CRON_SECRET_PREVIOUS", "VERCEL_ENV", "JOBS_VERCEL_PLAN", "JOBS_MAX_DURATION", "JOBS_VERCEL_LINGER",
    "JOBS_HASH_TENANTS",
)  # fmt: skip
"""The variables providers are set up with; where the vendor has names of its own, those."""


@dataclass(frozen=True, slots=True)
class PostgresLogins:
    """The addresses of a PostgreSQL ledger, each with its login (docs/tenant-wall.md).

    ``worker`` is the engine's, ``admin`` that of ``cgk jobs schema apply``, ``tenant`` that of handlers and transactional
    sends. They hold passwords, which their ``repr`` leaves out.
    """

    worker: str = field(repr=False)
    admin: str | None = field(default=None, repr=False)
    tenant: str | None = field(default=None, repr=False)


class Outside(NamedTuple):
    """How this application is reached from outside, and what it signs with; as in ``Settings``."""

    public_url: str | None
    signing_keys: tuple[bytes, ...]
    dashboard_token: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What was decided, and from where: ``sources`` maps each setting to the place its value came from.

    The ledger is either a SQLite file, ``database``, or in PostgreSQL, ``postgres``; the other one is ``None``.
    ``ledger`` names it in messages, without passwords. ``public_url``: where ``jobs.asgi()`` is reached from outside, without a
    slash at the end. ``signing_keys``: the one that signs, and perhaps the one before it, which is still accepted; none where
    nothing is signed. ``dashboard_token``: grants everything over HTTP. ``values``: what providers are set up with, by the names of their variables.
    """

    provider: str
    database: Path | None
    full_sync: bool
    app: str | None
    folder: Path
    ledger: str
    postgres: PostgresLogins | None = None
    public_url: str | None = None
    signing_keys: tuple[bytes, ...] = field(default=(), repr=False)
    dashboard_token: str | None = field(default=None, repr=False)
    values: dict[str, str] = field(default_factory=dict[str, str], repr=False)
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
    others = () if name in PROVIDERS else tuple(third_party())
    if name not in (*PROVIDERS, *others):
        raise NotConfigured(
            f"{look.sources['provider']}: unknown provider {name!r}; choose one of {', '.join((*PROVIDERS, *others))}"
        )
    ledger = _ledger(look, name, address, folder, app)
    return Settings(
        provider=name,
        database=ledger.path,
        full_sync=ledger.full_sync,
        app=look.find("app", None, "JOBS_APP", "app"),
        folder=folder,
        ledger=ledger.shown,
        postgres=ledger.postgres,
        public_url=_public_url(look),
        signing_keys=_signing_keys(look),
        dashboard_token=_dashboard_token(look),
        values={
            variable: value
            # A provider of another package has variables of its own, which begin with its name.
            for variable in (*VARIABLES, *(look.variables(f"{name.upper()}_") if name in others else ()))
            if (value := look.find(variable, None, variable, "")) is not None
        },
        sources=look.sources,
    )


class _Ledger(NamedTuple):
    shown: str
    path: Path | None = None
    postgres: PostgresLogins | None = None
    full_sync: bool = False


def _ledger(look: _Lookup, name: str, address: str | None, folder: Path, app: str) -> _Ledger:
    synchronous = look.find("synchronous", None, "JOBS_SYNCHRONOUS", "synchronous")
    if synchronous not in (None, "normal", "full"):
        raise NotConfigured(f"{look.sources['synchronous']}: synchronous {synchronous!r}: choose normal or full")
    if name not in ("embedded", "postgres") and address is None:
        # Hosted providers work with either ledger: the application's own PostgreSQL database, if it has one.
        found = look.find("database", None, "DATABASE_URL", "")
        address = found if found is not None and _is_postgres(found) else None
    in_postgres = name != "embedded" and address is not None and _is_postgres(address)
    if name == "vercel_cron" and not in_postgres:
        raise NotConfigured(
            f"{look.sources['provider']}: vercel_cron runs the application on machines that keep no file, so its ledger is "
            "in PostgreSQL: set JOBS_DATABASE_URL=postgresql://user:password@host/database"
        )
    if name != "postgres" and not in_postgres:
        file = "jobs.db" if app == "default" else f"{app}.db"
        path = folder / ".cgk" / file if address is None else _sqlite_path(address, look.sources, folder)
        return _Ledger(str(path), path, None, synchronous == "full")
    if synchronous is not None:
        raise NotConfigured(
            f"{look.sources['synchronous']}: synchronous is for SQLite; with PostgreSQL set synchronous_commit of the "
            "worker's login"
        )
    logins, shown = _postgres(look, address)
    return _Ledger(shown, None, logins)


def _public_url(look: _Lookup) -> str | None:
    url = look.find("public_url", None, "JOBS_PUBLIC_URL", "public_url")
    if url is None:
        return None
    parts = urlsplit(url)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise NotConfigured(
            f"{look.sources['public_url']}: JOBS_PUBLIC_URL is where jobs.asgi() is reached, such as https://shop.example/jobs"
        )
    if parts.scheme == "http" and not local:
        raise NotConfigured(
            f"{look.sources['public_url']}: http:// would show every call to whoever listens: use https://, or a loopback address"
        )
    return url.rstrip("/")


def admin_address(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> str | None:
    """The administrator's address of a PostgreSQL ledger, which is there before the others are."""
    look = _Lookup(os.environ if environment is None else environment, folder or project_folder())
    return look.find("admin_database", None, "JOBS_ADMIN_DATABASE_URL", "admin_database_url")


def load_outside(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Outside:
    """The part of the settings that does not depend on the provider. Raises ``NotConfigured``."""
    look = _Lookup(os.environ if environment is None else environment, folder or project_folder())
    return Outside(_public_url(look), _signing_keys(look), _dashboard_token(look))


def _signing_keys(look: _Lookup) -> tuple[bytes, ...]:
    # A key in pyproject.toml would be committed with it, so it is not looked for there.
    found = look.find("signing_key", None, "JOBS_SIGNING_KEY", "")
    keys = () if found is None else tuple(key.strip().encode() for key in found.split(","))
    if len(keys) > MOST_KEYS or any(len(key) < SHORTEST_KEY for key in keys):
        raise NotConfigured(
            f"{look.sources['signing_key']}: one key of at least {SHORTEST_KEY} characters, or two as new,old; "
            "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return keys


def _dashboard_token(look: _Lookup) -> str | None:
    found = look.find("dashboard_token", None, "JOBS_DASHBOARD_TOKEN", "")
    if found is not None and (len(found) < SHORTEST_TOKEN or not found.isascii() or not found.isprintable()):
        raise NotConfigured(
            f"{look.sources['dashboard_token']}: at least {SHORTEST_TOKEN} characters, as whoever guesses it may do everything; "
            "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return found


class _Lookup:
    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = environment
        self._folder = folder
        self._file = {name: value for name, value in dotenv_values(folder / ".env").items() if value is not None}
        self._table = _table(folder / "pyproject.toml")
        self.sources: dict[str, str] = {}

    def variables(self, prefix: str) -> list[str]:
        """The names of variables that are set and begin so."""
        return sorted(name for name in {*self._environment, *self._file} if name.startswith(prefix))

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
