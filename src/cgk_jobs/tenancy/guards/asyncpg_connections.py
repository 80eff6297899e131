"""asyncpg: binding a transaction, and handing a pooled connection on clean."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from cgk_jobs.errors import NotConfigured
from cgk_jobs.tenancy.context import Scope, require_scope
from cgk_jobs.tenancy.guards.binding import CLEAN_CONNECTION, Guard, Row, Statement, run_async

if TYPE_CHECKING:
    from asyncpg import Pool
    from asyncpg.connection import Connection
    from asyncpg.pool import PoolConnectionProxy

__all__ = ["bind", "pooled"]

_logger = logging.getLogger("cgk_jobs.tenancy")


async def bind(connection: Connection[Any] | PoolConnectionProxy[Any], guard: Guard, scope: Scope) -> None:
    """Bind the transaction in progress."""
    if not connection.is_in_transaction():
        raise NotConfigured(
            "the connection is in no transaction: a tenant is bound until the end of one. "
            "Use `async with connection.transaction():` around it"
        )

    async def execute(statement: Statement) -> Row | None:
        record: Row | None = await connection.fetchrow(statement.text, *statement.values)
        return record

    await run_async(guard.bind(scope), execute)


@asynccontextmanager
async def pooled(
    pool: Pool[Any], guard: Guard, timeout: float | None
) -> AsyncGenerator[PoolConnectionProxy[Any], None]:
    """A connection of the pool inside a transaction of the current tenant."""
    scope = require_scope()
    async with pool.acquire(timeout=timeout) as connection:
        try:
            async with connection.transaction():
                await bind(connection, guard, scope)
                yield connection
        finally:
            await _clean(connection)


async def _clean(connection: PoolConnectionProxy[Any]) -> None:
    # asyncpg's own reset, on release, leaves temporary tables and the last numbers of sequences.
    if connection.is_closed():
        return
    try:
        await connection.execute(CLEAN_CONNECTION)
    except BaseException as error:
        connection.terminate()
        # The transaction has ended by then, well or not: an error of ours must not say otherwise. An interrupt is passed on.
        if not isinstance(error, Exception):
            raise
        _logger.warning("a connection could not be cleaned for the next tenant and was closed: %s", error)
