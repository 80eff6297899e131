"""Tenants: ids, and who is current."""

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

__all__ = [
    "PLATFORM",
    "Scope",
    "across_tenants",
    "current_scope",
    "current_tenant",
    "is_tenant_id",
    "parse_tenant_id",
    "require_same_tenant",
    "require_scope",
    "tenant_context",
]
