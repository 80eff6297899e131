"""The two logins of an application: one for the engine, one for handlers.

An existing login can take either part. One that is made here gets a random password, which is shown once: the server is
sent its SCRAM verifier, so the password is in no server's log.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from cgk_jobs.engine.postgres.address import parse_address
from cgk_jobs.engine.postgres.migrate import refused
from cgk_jobs.engine.postgres.refusals import DRIVER_ERRORS
from cgk_jobs.engine.postgres.roles import Roles
from cgk_jobs.engine.postgres.server import Connection, Server
from cgk_jobs.errors import NotConfigured

__all__ = ["Login", "make_logins"]

# Plans are fixed on index scans: statistics of a queue are always out of date, and a plan made for an empty table is a
# disaster on a full one. The path keeps functions and operators that others may make in `public` out of the engine's
# statements. For this database only: another one may be somebody else's.
_WORKER_SETTINGS = {
    "jit": "off",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
    "search_path": "pg_catalog, pg_temp",
}
# Sessions of one login see each other's statements in pg_stat_activity, and tenants share a login.
_TENANT_SETTINGS = {"track_activities": "off", "idle_in_transaction_session_timeout": "60s"}


@dataclass(frozen=True, slots=True)
class Login:
    """A login and its address. ``url`` has a password if it was ``made`` or given a new one just now; ``notes`` say what
    could not be set, and what to do."""

    name: str
    url: str = field(repr=False)
    made: bool
    has_password: bool
    notes: tuple[str, ...] = ()


async def make_logins(
    admin_url: str,
    *,
    roles: Roles = Roles(),  # noqa: B008 - frozen
    worker: str | None = None,
    tenant: str | None = None,
    new_passwords: bool = False,
) -> tuple[Login, Login]:
    """The worker's login and the tenants', made where they are missing, with their memberships and settings.

    ``worker`` and ``tenant`` name existing logins; otherwise two are made, ``PREFIX_worker_login`` and
    ``PREFIX_tenant_login``. ``new_passwords`` gives those that were made before new ones. Run again it changes nothing.
    Raises ``NotConfigured`` for a login that is missing, is one person's two parts, or must not have the part.
    """
    if worker is not None and worker == tenant:
        raise NotConfigured(f"{worker} can't be both the worker's login and the tenants': name two")
    address = parse_address(admin_url)
    connection = await Server(address).connect()
    try:
        return (
            await _login(connection, admin_url, roles.worker, worker, _WORKER_SETTINGS, roles, new_passwords),
            await _login(connection, admin_url, roles.tenant, tenant, _TENANT_SETTINGS, roles, new_passwords),
        )
    except DRIVER_ERRORS as error:
        raise refused(error, address) from error
    finally:
        await connection.close()


async def _login(
    connection: Connection,
    admin_url: str,
    role: str,
    existing: str | None,
    settings: dict[str, str],
    roles: Roles,
    new_passwords: bool,
) -> Login:
    name = existing or f"{role}_login"
    found = await connection.fetchrow(
        "SELECT rolcanlogin, rolsuper OR rolbypassrls AS free FROM pg_catalog.pg_roles WHERE rolname = $1", name
    )
    if found is None and existing is not None:
        raise NotConfigured(f"there is no login {name}: create it, or leave it to this command to make one")
    if found is not None:
        await _refuse_unfit(connection, name, role, roles, can_login=found["rolcanlogin"], free=found["free"])
    password = None
    if found is None:
        password = secrets.token_urlsafe(24)
        await _create(connection, name, password)
    elif existing is None and new_passwords:
        password = secrets.token_urlsafe(24)
        await connection.execute(f"ALTER ROLE {_quoted(name)} PASSWORD '{scram_verifier(password)}'")
    if not await _is_member(connection, name, role):
        await _patiently(connection, f"GRANT {role} TO {_quoted(name)}")
    notes = [note for item in settings.items() if (note := await _set(connection, name, *item)) is not None]
    note = await _let_connect(connection, name, role)
    if note is not None:
        notes.append(note)
    return Login(name, _address(admin_url, name, password), found is None, password is not None, tuple(notes))


async def _create(connection: Connection, name: str, password: str) -> None:
    try:
        await connection.execute(
            f"CREATE ROLE {_quoted(name)} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS "
            f"PASSWORD '{scram_verifier(password)}'"
        )
    except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
        raise NotConfigured(f"somebody else has made the login {name} at this moment: run the command again") from None


async def _refuse_unfit(
    connection: Connection, name: str, role: str, roles: Roles, *, can_login: bool, free: bool
) -> None:
    if not can_login:
        raise NotConfigured(f"{name} is a role without LOGIN: ALTER ROLE {name} LOGIN, or name another one")
    if free:
        raise NotConfigured(
            f"row security does not hold for {name}, which is a superuser or has BYPASSRLS: name another login"
        )
    for other in (roles.owner, roles.worker, roles.tenant):
        if other != role and await _is_member(connection, name, other):
            raise NotConfigured(
                f"{name} is a member of {other}, and would be of {role}: the wall stands between these; name another login, "
                f"or REVOKE {other} FROM {name}"
            )


async def _is_member(connection: Connection, name: str, role: str) -> bool:
    return bool(await connection.fetchval("SELECT pg_catalog.pg_has_role($1::name, $2::name, 'MEMBER')", name, role))


async def _patiently(connection: Connection, statement: str) -> None:
    """Run a statement on a role again while another database's applier changes the same one: they share no lock."""
    for _ in range(10):
        try:
            await connection.execute(statement)
            return
        except (asyncpg.InternalServerError, asyncpg.UniqueViolationError) as error:
            if "concurrently" not in str(error) and not isinstance(error, asyncpg.UniqueViolationError):
                raise
    await connection.execute(statement)


async def _set(connection: Connection, name: str, setting: str, value: str) -> str | None:
    wanted = f"{setting}={value}"
    present = await connection.fetchval(
        "SELECT s.setconfig FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_roles r ON r.oid = s.setrole "
        "JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase "
        "WHERE r.rolname = $1 AND d.datname = pg_catalog.current_database()",
        name,
    )
    if wanted in (present or ()):
        return None
    database = await connection.fetchval("SELECT pg_catalog.current_database()")
    shown = value if setting == "search_path" else f"'{value}'"
    statement = f"ALTER ROLE {_quoted(name)} IN DATABASE {_quoted(database)} SET {setting} = {shown}"
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return f"a superuser has to run: {statement}"
    return None


async def _let_connect(connection: Connection, name: str, role: str) -> str | None:
    if await connection.fetchval(
        "SELECT pg_catalog.has_database_privilege($1::name, pg_catalog.current_database(), 'CONNECT')", name
    ):
        return None
    database = await connection.fetchval("SELECT pg_catalog.current_database()")
    statement = f"GRANT CONNECT ON DATABASE {_quoted(database)} TO {role}"
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return f"the database's owner has to run: {statement}"
    return None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _address(admin_url: str, name: str, password: str | None) -> str:
    parts = urlsplit(admin_url)
    place = parts.netloc.rpartition("@")[2]
    login = quote(name, safe="") + ("" if password is None else f":{quote(password, safe='')}")
    query = "&".join(
        part for part in parts.query.split("&") if part and part.partition("=")[0] not in ("user", "password")
    )
    return urlunsplit((parts.scheme, f"{login}@{place}", parts.path, query, ""))


def scram_verifier(password: str) -> str:
    """What PostgreSQL stores for a password (RFC 5803). For ASCII passwords: others would have to be normalized first."""
    salt, rounds = secrets.token_bytes(16), 4096
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, rounds)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    text = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${rounds}:{text[0]}${text[1]}:{text[2]}"
