"""Connections that belong to the current tenant, from the pools of psycopg and asyncpg."""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar, overload

from cgk_jobs.errors import NotConfigured
from cgk_jobs.tenancy.context import require_scope
from cgk_jobs.tenancy.guards.binding import GuardLike, guard_of

if TYPE_CHECKING:
    import asyncpg
    import psycopg
    import psycopg_pool
    from asyncpg.connection import Connection as AsyncpgConnection
    from asyncpg.pool import PoolConnectionProxy

    _C = TypeVar("_C", bound=psycopg.Connection[Any])
    _A = TypeVar("_A", bound=psycopg.AsyncConnection[Any])

__all__ = ["bind_tenant", "tenant_connection"]


@overload
def tenant_connection(
    pool: psycopg_pool.ConnectionPool[_C], by: GuardLike, *, timeout: float | None = None
) -> AbstractContextManager[_C]: ...
@overload
def tenant_connection(
    pool: psycopg_pool.AsyncConnectionPool[_A], by: GuardLike, *, timeout: float | None = None
) -> AbstractAsyncContextManager[_A]: ...
@overload
def tenant_connection(
    pool: asyncpg.Pool[Any], by: GuardLike, *, timeout: float | None = None
) -> AbstractAsyncContextManager[PoolConnectionProxy[Any]]: ...
def tenant_connection(pool: Any, by: GuardLike, *, timeout: float | None = None) -> Any:
    """A connection in a transaction that is bound to the current tenant, from a pool of psycopg 3 or asyncpg.

    The block is the transaction: it is committed at the end and rolled back on an error. Then nothing of it is left on the
    connection. ``timeout`` is the seconds to wait for a free one (default: the pool's). Raises ``TenantRequired`` outside a tenant.
    """
    guard = guard_of(by)
    if (module := sys.modules.get("psycopg_pool")) is not None:
        if isinstance(pool, module.ConnectionPool):
            from cgk_jobs.tenancy.guards.psycopg_connections import pooled

            return pooled(pool, guard, timeout)
        if isinstance(pool, module.AsyncConnectionPool):
            from cgk_jobs.tenancy.guards.psycopg_connections import pooled_async

            return pooled_async(pool, guard, timeout)
    if (module := sys.modules.get("asyncpg")) is not None and isinstance(pool, module.Pool):
        from cgk_jobs.tenancy.guards import asyncpg_connections

        return asyncpg_connections.pooled(pool, guard, timeout)
    raise NotConfigured(
        f"tenant_connection takes a pool of psycopg (pip install 'psycopg[pool]') or of asyncpg (pip install asyncpg), "
        f"not {type(pool).__name__}. For a connection of your own, use bind_tenant inside its transaction"
    )


@overload
def bind_tenant(connection: psycopg.Connection[Any], by: GuardLike) -> None: ...
@overload
def bind_tenant(connection: psycopg.AsyncConnection[Any], by: GuardLike) -> Awaitable[None]: ...
@overload
def bind_tenant(connection: AsyncpgConnection[Any] | PoolConnectionProxy[Any], by: GuardLike) -> Awaitable[None]: ...
def bind_tenant(connection: Any, by: GuardLike) -> Any:
    """Bind the open transaction of ``connection`` to the current tenant; await it where the driver is awaited.

    For connections that a framework of yours hands out. Raises ``TenantRequired`` outside a tenant, ``NotConfigured`` outside
    a transaction.
    """
    guard, scope = guard_of(by), require_scope()
    if (module := sys.modules.get("psycopg")) is not None:
        from cgk_jobs.tenancy.guards import psycopg_connections

        if isinstance(connection, module.Connection):
            return psycopg_connections.bind(connection, guard, scope)
        if isinstance(connection, module.AsyncConnection):
            return psycopg_connections.bind_async(connection, guard, scope)
    if (module := sys.modules.get("asyncpg")) is not None and isinstance(
        connection, (module.Connection, module.pool.PoolConnectionProxy)
    ):
        from cgk_jobs.tenancy.guards import asyncpg_connections

        return asyncpg_connections.bind(connection, guard, scope)
    raise NotConfigured(
        f"bind_tenant takes a connection of psycopg 3 (pip install 'psycopg[binary]') or of asyncpg (pip install asyncpg), "
        f"not {type(connection).__name__}"
    )
