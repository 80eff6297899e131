"""Tenants: ids, who is current, and guards that keep the application's own data apart."""

from typing import TYPE_CHECKING, Any

from cgk_jobs.tenancy.context import (
    Scope,
    across_tenants,
    current_scope,
    current_tenant,
    require_same_tenant,
    require_scope,
    tenant_context,
)
from cgk_jobs.tenancy.ids import PLATFORM, is_tenant_id, parse_tenant_id

if TYPE_CHECKING:
    from cgk_jobs.tenancy.guards.binding import Guard
    from cgk_jobs.tenancy.guards.cache import AsyncTenantCache, TenantCache
    from cgk_jobs.tenancy.guards.connections import bind_tenant, tenant_connection
    from cgk_jobs.tenancy.guards.files import TenantFiles
    from cgk_jobs.tenancy.guards.rows import Binder, PlainSetting, TenantRows, row_security_sql
    from cgk_jobs.tenancy.guards.schemas import TenantSchemas
    from cgk_jobs.tenancy.guards.sqlalchemy_engine import guard_engine
    from cgk_jobs.tenancy.guards.tenant_keys import tenant_key

__all__ = [
    "PLATFORM",
    "AsyncTenantCache",
    "Binder",
    "Guard",
    "PlainSetting",
    "Scope",
    "TenantCache",
    "TenantFiles",
    "TenantRows",
    "TenantSchemas",
    "across_tenants",
    "bind_tenant",
    "current_scope",
    "current_tenant",
    "guard_engine",
    "is_tenant_id",
    "parse_tenant_id",
    "require_same_tenant",
    "require_scope",
    "row_security_sql",
    "tenant_connection",
    "tenant_context",
    "tenant_key",
]

# The guards are imported when first asked for: who uses none must not wait for them, nor need the libraries they guard.
_GUARDS = {
    "AsyncTenantCache": "cache",
    "Binder": "rows",
    "Guard": "binding",
    "PlainSetting": "rows",
    "TenantCache": "cache",
    "TenantFiles": "files",
    "TenantRows": "rows",
    "TenantSchemas": "schemas",
    "bind_tenant": "connections",
    "guard_engine": "sqlalchemy_engine",
    "row_security_sql": "rows",
    "tenant_connection": "connections",
    "tenant_key": "tenant_keys",
}


def __getattr__(name: str) -> Any:
    module = _GUARDS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"cgk_jobs.tenancy.guards.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
