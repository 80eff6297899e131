"""Binding a tenant to a transaction, so that SQL run in it can't change the tenant. For every driver: no statement is run here.

    tokens = TenantTokens(inner_key, outer_key)      # once a process: READ_KEY, through the worker's login
    ...                                              # in an open transaction of a tenant's login:
    challenge = execute(CHALLENGE)                   # 1. what the server says of this transaction
    token = tokens.answer("acme", challenge)         #    raises unless the session can be trusted with a tenant
    bound = execute(BIND, token)                     # 2. sets it, for this transaction only
    check_bound("acme", challenge, bound)            #    raises unless it took

Row security then shows the tenant's rows and nothing else (``migrations/0002_wall.sql``). The token is ``tenant:signature``; what
is signed names the server process, the start of its transaction and the database. So a token copied out of one transaction
opens nothing in another, and SQL in the transaction can only replace it with one that is not valid.

``CHALLENGE`` has no parameter, ``BIND`` one; ``bind_statement("%s")`` writes it for drivers with another placeholder. Rows may be
tuples or anything that can be unpacked in the order of the columns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from cgk_jobs.errors import NotConfigured, ProviderUnavailable, TenantMismatch
from cgk_jobs.tenancy.ids import PLATFORM, parse_tenant_id

__all__ = ["BIND", "CHALLENGE", "READ_KEY", "Challenge", "TenantTokens", "bind_statement", "check_bound"]

_QUERIES = Path(__file__).parent / "queries"

READ_KEY = (_QUERIES / "read_tenant_key.sql").read_text(encoding="utf-8")
"""Asks for the key's two halves (bytes). Only the worker's login may read them."""

CHALLENGE = (_QUERIES / "challenge_session.sql").read_text(encoding="utf-8")
"""Asks what the server says of the transaction and the session: one row, the fields of ``Challenge``."""

BIND = (_QUERIES / "bind_tenant.sql").read_text(encoding="utf-8")
"""Sets the token ``$1`` for this transaction."""

CLEAN = "DISCARD ALL"
"""Run outside a transaction, it takes everything out of a session that one tenant may have left there for the next."""


def bind_statement(placeholder: str) -> str:
    """``BIND`` with a driver's placeholder (``%s``, ``:token``) instead of ``$1``."""
    return BIND.replace("$1", placeholder)


class Challenge(NamedTuple):
    """A transaction, as the server names it, and what stands against trusting its session.

    ``started``: microseconds. ``bound``: the tenant it has already. ``privileged``: the login may read the signing key, as the
    worker, an owner or a superuser may. ``unguarded``: row security does not hold for it. ``path``: the schemas names are looked
    up in, in order, with those that PostgreSQL adds. ``littered``: the session has temporary objects or statements
    prepared by SQL, which may be traps for the tenant that comes next.
    """

    pid: int
    started: int
    database: int
    bound: str | None
    privileged: bool
    unguarded: bool
    path: str
    littered: bool


class TenantTokens:
    """Signs bindings. Holds the key: whoever has this object can act for every tenant, as the worker's login can."""

    __slots__ = ("_inner_key", "_outer_key")

    def __init__(self, inner_key: bytes, outer_key: bytes) -> None:
        if len(inner_key) != 64 or len(outer_key) != 64:
            raise NotConfigured("cgk_jobs.tenant_key is damaged: its keys have 64 bytes each; restore it from a backup")
        self._inner_key = bytes(inner_key)
        self._outer_key = bytes(outer_key)

    def __repr__(self) -> str:
        return "<TenantTokens>"

    def answer(self, tenant_id: str, challenge: Iterable[Any], *, allow_unsafe: bool = False) -> str:
        """The token that binds ``tenant_id`` to the transaction of ``challenge``.

        Raises ``NotConfigured`` where the login or its search_path make the wall worthless (``allow_unsafe`` lets such a
        login pass), ``TenantMismatch`` where the transaction has another tenant already, and ``ProviderUnavailable`` for a
        session that must be closed, or cleaned with ``DISCARD ALL``, before a tenant is let into it.
        """
        tenant_id = tenant_id if tenant_id == PLATFORM else parse_tenant_id(tenant_id)
        found = Challenge(*challenge)
        if (found.privileged or found.unguarded) and not allow_unsafe:
            raise NotConfigured(
                "this login sees every tenant's rows (it is the worker's, an owner's, a superuser's or has BYPASSRLS): give "
                "handlers the tenant login that `cgk jobs schema apply` makes, in JOBS_TENANT_DATABASE_URL"
            )
        # Temporary schemas are never searched for functions and operators; names with pg_ are the server's alone.
        first = next((name for name in found.path.split(",") if not name.startswith("pg_temp")), "")
        if first != "pg_catalog":
            raise NotConfigured(
                f"this session's search_path has {first} before pg_catalog, so what is made there would be run in "
                "place of PostgreSQL's own functions: take pg_catalog out of search_path (it then comes first)"
            )
        if found.littered:
            raise ProviderUnavailable(
                "this session has temporary tables, functions or statements prepared by SQL, made before a tenant was bound: "
                "they may be another tenant's. Close the connection, or run DISCARD ALL before it changes tenants"
            )
        if found.bound not in (None, tenant_id):
            raise TenantMismatch(
                f"this transaction belongs to another tenant than {tenant_id}: a transaction has one tenant; commit it and "
                "begin another"
            )
        return f"{tenant_id}:{self._signature(tenant_id, found)}"

    def _signature(self, tenant_id: str, challenge: Challenge) -> str:
        message = f"v1|{tenant_id}|{challenge.pid}|{challenge.started}|{challenge.database}".encode("ascii")
        inner = hashlib.sha256(self._inner_key + message).digest()
        return hashlib.sha256(self._outer_key + inner).hexdigest()


def check_bound(tenant_id: str, challenge: Iterable[Any], bound: Iterable[Any]) -> None:
    """See that ``BIND`` took, from its row: without it every query would silently find nothing.

    Raises ``ProviderUnavailable`` with the remedy.
    """
    asked = Challenge(*challenge)
    pid, started, tenant = bound
    if (pid, started) != (asked.pid, asked.started):
        raise ProviderUnavailable(
            "a tenant can only be bound inside a transaction, and this connection has none open (autocommit, or a pooler that "
            "pools statements): begin a transaction first"
        )
    if tenant != tenant_id:
        raise ProviderUnavailable(
            "the database does not accept this process's bindings: its key has been changed; read it again "
            "(restart the process)"
        )


_BIND_IF_VALID = "SELECT b.tenant FROM (" + BIND + ") b WHERE b.tenant IS NOT NULL"  # noqa: S608 - our own file


class SignedTenant:
    """Signed bindings as a binder of ``cgk_jobs.tenancy.guards``: ``TenantRows(SignedTenant(tokens), bound=SignedTenant.bound)``."""

    bound = "cgk_jobs.bound_tenant()"
    """The SQL expression for the bound tenant, in policies of the application's own tables."""
    question = CHALLENGE

    def __init__(self, tokens: TenantTokens, *, allow_unsafe: bool = False) -> None:
        self._tokens = tokens
        self._allow_unsafe = allow_unsafe

    def answer(self, row: Iterable[Any], tenant_id: str) -> tuple[str, tuple[str]]:
        """The statement that binds the tenant, and its value. It returns a row if the binding took. Raises what
        ``TenantTokens.answer`` raises."""
        return _BIND_IF_VALID, (self._tokens.answer(tenant_id, row, allow_unsafe=self._allow_unsafe),)
