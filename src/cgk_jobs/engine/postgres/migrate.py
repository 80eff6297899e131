"""The schema, step by step: numbered files, forward only, each applied once and in one transaction.

Appliers wait for each other, and a migration that finds workers in its way lets them pass and comes again: it waits for a
table's lock for a moment only, since whoever wants the table next would wait behind it.

A migration says in its first line which code can work with what it makes: ``-- Oldest code: schema 5.`` Older code than the
ledger's schema starts if every migration it does not know says so. Without the line there is none older.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg

from cgk_jobs.engine.postgres.address import Address, parse_address
from cgk_jobs.engine.postgres.refusals import DRIVER_ERRORS, refusal
from cgk_jobs.engine.postgres.roles import Roles
from cgk_jobs.engine.postgres.server import QUERIES, Connection, Server
from cgk_jobs.errors import JobsError, NotConfigured, ProviderUnavailable

if TYPE_CHECKING:
    from cgk_jobs.engine.postgres.database import Work

__all__ = [
    "MIGRATIONS",
    "SCHEMA_VERSION",
    "Migration",
    "Recorded",
    "Status",
    "apply",
    "check_schema",
    "refused",
    "render",
    "status",
]

_HERE = Path(__file__).parent
_ROLES_SCRIPT = (_HERE / "roles.sql").read_text(encoding="utf-8")
_OLDEST_CODE = re.compile(r"-- Oldest code: schema (\d+)\b")
_LOCK = int.from_bytes(hashlib.sha256(b"cgk_jobs.migrations").digest()[:8], "big", signed=True)
"""The advisory lock appliers take."""
_LOCK_TIMEOUT = "1500ms"
_TRIES = 40
_ELSEWHERE = frozenset({"40001", "40P01", "55P03", "23505", "42710"})
"""States of a transaction that met another one: conflicts, and what somebody else has made at the same moment (roles
belong to the cluster, and no lock spans its databases)."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. ``text`` names the roles as they are called by default."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file's text, as hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def oldest_code(self) -> int | None:
        """The schema number of the oldest code that can work with what this makes; ``None``: it does not say."""
        found = _OLDEST_CODE.match(self.text)
        return None if found is None else int(found[1])

    @property
    def record(self) -> dict[str, int | str]:
        """Its row in the ledger's record."""
        row: dict[str, int | str] = {"version": self.version, "name": self.name, "checksum": self.checksum}
        if self.oldest_code is not None:
            row["oldest_code"] = self.oldest_code
        return row


class Recorded(NamedTuple):
    """A migration a ledger says it has had."""

    version: int
    name: str
    checksum: str
    oldest_code: int | None


def _read(folder: Path) -> tuple[Migration, ...]:
    found = tuple(
        Migration(int(path.stem[:4]), path.stem, path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    )
    if [one.version for one in found] != list(range(1, len(found) + 1)):
        # Two branches that both add the next number: one of them would never be applied.
        raise AssertionError(f"migrations are numbered from 1, each number once: {[one.name for one in found]}")
    return found


MIGRATIONS = _read(_HERE / "migrations")
SCHEMA_VERSION = MIGRATIONS[-1].version
"""The version this code is written for."""


@dataclass(frozen=True, slots=True)
class Status:
    """``applied`` is 0 without a ledger. ``problems`` say what is wrong and what to do; none: the code can work with it."""

    applied: int
    expected: int
    problems: tuple[str, ...]


def render(roles: Roles = Roles()) -> str:  # noqa: B008 - frozen
    """The SQL of an empty database's way to this version, to be read, or run by psql in one go."""
    parts = [f"BEGIN;\n\n{roles.named_in(_ROLES_SCRIPT)}"]
    for migration in MIGRATIONS:
        parts.append(f"-- {migration.name} {'-' * (115 - len(migration.name))}\n")
        parts.append(roles.named_in(migration.text))
        values = ", ".join(
            str(value) if isinstance(value, int) else f"'{value}'" for value in migration.record.values()
        )
        parts.append(f"INSERT INTO cgk_jobs.migrations ({', '.join(migration.record)}) VALUES ({values});\n")  # noqa: S608
    parts.append("COMMIT;\n")
    return "\n".join(parts)


def problems_of(recorded: Sequence[Recorded]) -> list[str]:
    """What is wrong with the migrations a database says it has had, for code of this version."""
    applied = max((one.version for one in recorded), default=0)
    oldest = max((one.oldest_code or one.version for one in recorded if one.version > SCHEMA_VERSION), default=0)
    found: list[str] = []
    if oldest > SCHEMA_VERSION:
        found.append(
            f"the ledger has schema {applied}, which code of schema {oldest} and newer can work with; this version knows "
            f"{SCHEMA_VERSION}: upgrade the package (pip install -U cgk-jobs)"
        )
    elif applied == 0:
        found.append("the database has no ledger: run cgk jobs schema apply")
    elif applied < SCHEMA_VERSION:
        found.append(f"the ledger has schema {applied}, this version needs {SCHEMA_VERSION}: run cgk jobs schema apply")
    missing = sorted({*range(1, min(applied, SCHEMA_VERSION) + 1)} - {one.version for one in recorded})
    if missing:
        found.append(
            f"the record has schema {applied} but not {', '.join(map(str, missing))}: somebody has changed the table "
            "cgk_jobs.migrations; restore it from a backup"
        )
    found += _other_texts(recorded)
    return found


def _other_texts(recorded: Sequence[Recorded]) -> list[str]:
    known = {migration.version: migration for migration in MIGRATIONS}
    found: list[str] = []
    for version, name, checksum, _ in recorded:
        migration = known.get(version)
        if migration is not None and (name, checksum) != (migration.name, migration.checksum):
            found.append(
                f"migration {name} was applied with other text than this package has (checksum {checksum[:12]}, here "
                f"{migration.checksum[:12]}): compare the database with `cgk jobs schema print`, or install the package's "
                "release again"
            )
    return found


async def check_schema(work: Work) -> None:
    """Refuse a ledger this code can't work with. For a pool's first use.

    Raises ``NotConfigured`` with the remedy.
    """
    recorded = [Recorded(*row) for row in await work.rows("read_migrations")]
    found = problems_of(recorded)
    if found:
        raise NotConfigured("; ".join(found))


async def status(url: str) -> Status:
    """Which version the database at ``url`` has, read by any login but a tenant's."""
    address = parse_address(url)
    connection = await Server(address).connect()
    try:
        recorded = await _recorded(connection)
    except DRIVER_ERRORS as error:
        raise refused(error, address) from error
    finally:
        await connection.close()
    applied = max((one.version for one in recorded), default=0)
    return Status(applied, SCHEMA_VERSION, tuple(problems_of(recorded)))


async def _recorded(connection: Connection) -> list[Recorded]:
    if not await connection.fetchval("SELECT pg_catalog.to_regclass('cgk_jobs.migrations') IS NOT NULL"):
        return []
    rows = await connection.fetch(QUERIES["read_migrations"])
    return [Recorded(*row) for row in rows]


async def apply(admin_url: str, *, roles: Roles = Roles(), upto: int | None = None) -> list[int]:  # noqa: B008 - frozen
    """Bring the database to this version (or ``upto``): the versions applied, none if there was nothing to do.

    ``admin_url`` is a login that may create roles and owns the database, or a superuser. Raises ``NotConfigured`` (a
    missing right, a newer ledger, one that was made with other texts, a schema of somebody else) and ``ProviderUnavailable``; a migration that failed has
    changed nothing.
    """
    address = parse_address(admin_url)
    connection = await Server(address).connect()
    try:
        recorded = await _recorded(connection)
        applied = {one.version for one in recorded}
        problems = problems_of(recorded) if applied and max(applied) > SCHEMA_VERSION else _other_texts(recorded)
        if problems:
            raise NotConfigured("; ".join(problems))
        if not applied:
            await _retried(connection, roles.named_in(_ROLES_SCRIPT), None, roles)
        done: list[int] = []
        for migration in MIGRATIONS:
            if migration.version in applied or migration.version > (upto or SCHEMA_VERSION):
                continue
            if await _retried(connection, roles.named_in(migration.text), migration, roles):
                done.append(migration.version)
        return done
    except DRIVER_ERRORS as error:
        raise refused(error, address) from error
    finally:
        await connection.close()


async def _retried(connection: Connection, script: str, migration: Migration | None, roles: Roles) -> bool:
    for attempt in range(1, _TRIES + 1):
        try:
            async with connection.transaction(isolation="read_committed"):
                return await _apply_one(connection, script, migration, roles)
        except asyncpg.PostgresError as error:
            if attempt == _TRIES or not _met_another(error):
                raise
        await asyncio.sleep(random.uniform(0.02, 0.02 * min(attempt, 25)))  # noqa: S311 - spreads, hides nothing
    raise AssertionError("unreachable")


async def _apply_one(connection: Connection, script: str, migration: Migration | None, roles: Roles) -> bool:
    await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'; SET LOCAL search_path = pg_catalog, pg_temp")
    await connection.execute("SELECT pg_catalog.pg_advisory_xact_lock($1)", _LOCK)
    if migration is None:
        await connection.execute(script)
        return True
    await connection.execute(f"SET LOCAL ROLE {roles.owner}")
    if await connection.fetchval("SELECT true FROM cgk_jobs.migrations WHERE version = $1", migration.version):
        return False
    await connection.execute(script)
    record = migration.record
    places = ", ".join(f"${place}" for place in range(1, len(record) + 1))
    await connection.execute(
        f"INSERT INTO cgk_jobs.migrations ({', '.join(record)}) VALUES ({places})",  # noqa: S608 - names of columns
        *record.values(),
    )
    return True


def _met_another(error: asyncpg.PostgresError) -> bool:
    state: Any = error.sqlstate
    return state in _ELSEWHERE or (state == "XX000" and "concurrently updated" in str(error))


def refused(error: Exception, address: Address) -> JobsError:
    """What an administrator has to hear, who has other remedies than a worker."""
    state = getattr(error, "sqlstate", None)
    if state == "42501":
        return NotConfigured(
            f"{address.user or 'this login'} may not do this in {address.shown}: {error}. Give JOBS_ADMIN_DATABASE_URL a "
            "login that has CREATEROLE and owns the database, or let an administrator run what `cgk jobs schema print` shows"
        )
    if state in ("42P07", "42710", "42P06"):
        return NotConfigured(
            f"{address.shown} has a schema cgk_jobs that no migration made ({error}): it is somebody else's, so nothing was "
            "changed; choose another database, or the prefix of the roles it was made with (--roles)"
        )
    return refusal(error, address) or ProviderUnavailable(f"{address.shown} refused the migration: {error}")
