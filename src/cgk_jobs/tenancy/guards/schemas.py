"""PostgreSQL, a schema for each tenant: the transaction's ``search_path`` is the tenant's schema.

This guards against forgetting the tenant, not against SQL written by an attacker: a login that may read every schema reaches
them all by writing ``tenant_b.orders``. Where that matters, use rows with a signed binder (``rows.py``).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from cgk_jobs.errors import InvalidEvent, NotConfigured
from cgk_jobs.tenancy.context import Scope
from cgk_jobs.tenancy.guards.binding import Statement, Steps
from cgk_jobs.tenancy.ids import PLATFORM, is_tenant_id

__all__ = ["TenantSchemas", "quote_identifier"]

_LONGEST = 63
"""Bytes of a PostgreSQL name; a longer one would be cut off without an error, and two tenants might share what is left."""
_DIGEST = 32
_LONGEST_PREFIX = 24
_is_prefix = re.compile(r"(?:[a-z_][a-z0-9_]*)?").fullmatch
_RESERVED = {"public", "information_schema"}

_BIND = """SELECT pg_catalog.set_config('search_path', $1, true)
FROM pg_catalog.pg_namespace
WHERE nspname = $2 AND pg_catalog.has_schema_privilege(oid, 'USAGE')"""
_BIND_NONE = "SELECT pg_catalog.set_config('search_path', $1, true)"


def quote_identifier(name: str) -> str:
    """``name`` as an SQL identifier. Raises ``NotConfigured`` for one PostgreSQL can't hold."""
    if not name or "\0" in name or len(name.encode()) > _LONGEST:
        raise NotConfigured(f"{name!r} can't name anything in PostgreSQL: 1 to {_LONGEST} bytes, without NUL")
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class TenantSchemas:
    """Each tenant's tables are in the schema ``prefix`` + tenant id.

    ``shared`` names schemas that all tenants may see besides; a table of theirs must not bear the name of a tenant's table.
    Across tenants only these are on the path, and the tenants' tables are named with their schema.
    Raises ``NotConfigured`` for a prefix of anything but ``a-z 0-9 _``, or over 24 characters.
    """

    prefix: str = "tenant_"
    shared: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if _is_prefix(self.prefix) is None or len(self.prefix) > _LONGEST_PREFIX or self.prefix.startswith("pg_"):
            raise NotConfigured(
                f"prefix={self.prefix!r} can't begin a schema's name: up to {_LONGEST_PREFIX} characters of a-z 0-9 _, "
                "not starting with a digit or pg_"
            )
        if isinstance(self.shared, str):
            raise NotConfigured(f"shared={self.shared!r} must be a tuple of names, such as ({self.shared!r},)")
        for name in self.shared:
            quote_identifier(name)
            if name == "$user" or name.startswith("pg_temp"):
                raise NotConfigured(f"{name!r} is not a schema that tenants can share")

    def schema_of(self, tenant_id: str) -> str:
        """The name, unquoted, of a tenant's schema.

        Where prefix and id exceed PostgreSQL's 63 bytes, a digest stands for the end of the id, behind a ``~``, which no id
        contains: no two tenants share a name. Raises ``InvalidEvent`` for what is no tenant id.
        """
        if tenant_id != PLATFORM and not is_tenant_id(tenant_id):
            raise InvalidEvent(f"{tenant_id!r} is no tenant id, so there is no schema of it")
        name = self.prefix + tenant_id
        if len(name) > _LONGEST:
            digest = hashlib.sha256(tenant_id.encode()).hexdigest()[:_DIGEST]
            name = f"{name[: _LONGEST - _DIGEST - 1]}~{digest}"
        if name in _RESERVED or name in self.shared or name.startswith("pg_"):
            raise InvalidEvent(f"tenant {tenant_id!r} would have the schema {name!r}: choose a prefix=")
        return name

    def create_sql(self, tenant_id: str, login: str) -> str:
        """The SQL that makes a tenant's schema for the application's ``login``; run it as the schemas' owner."""
        schema = quote_identifier(self.schema_of(tenant_id))
        return (
            f"CREATE SCHEMA IF NOT EXISTS {schema};\n"
            f"REVOKE ALL ON SCHEMA {schema} FROM PUBLIC;\n"
            f"GRANT USAGE ON SCHEMA {schema} TO {quote_identifier(login)};\n"
        )

    def login_sql(self, login: str) -> str:
        """The SQL after which ``login`` finds no table by its bare name outside a bound transaction."""
        return f"ALTER ROLE {quote_identifier(login)} SET search_path = '';\n"

    def bind(self, scope: Scope) -> Steps:
        """Set the path until the transaction ends. Raises ``NotConfigured`` if the tenant's schema is not there."""
        if scope.tenant_id is None:
            yield Statement(_BIND_NONE, (self._path(),))
            return
        schema = self.schema_of(scope.tenant_id)
        # PostgreSQL passes over schemas that are missing or closed to us, on to the shared ones: that would be silent.
        row = yield Statement(_BIND, (self._path(schema), schema))
        if row is None:
            raise NotConfigured(
                f"tenant {scope.tenant_id!r} has no schema {schema!r} that this login may use: create it with "
                "the SQL of TenantSchemas.create_sql()"
            )

    def _path(self, *first: str) -> str:
        # pg_temp is searched first unless it is named: a temporary table would hide a tenant's.
        return ", ".join([*map(quote_identifier, (*first, *self.shared)), "pg_temp"])
