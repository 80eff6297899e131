"""psycopg 3: binding a transaction, and handing a pooled connection on clean."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from psycopg import AsyncConnection, AsyncRawCursor, Connection, RawCursor
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Identifier

from cgk_jobs.errors import NotConfigured
from cgk_jobs.tenancy.context import Scope, require_scope
from cgk_jobs.tenancy.guards.binding import CLEAN_CONNECTION, Guard, Row, Statement, run, run_async

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool, ConnectionPool

__all__ = ["bind", "bind_async", "clean", "pooled", "pooled_async"]

_Connection = TypeVar("_Connection", bound=Connection[Any])
_AsyncConnection = TypeVar("_AsyncConnection", bound=AsyncConnection[Any])

_logger = logging.getLogger("cgk_jobs.tenancy")
_CLEAN = CLEAN_CONNECTION.encode()


def bind(connection: Connection[Any], guard: Guard, scope: Scope) -> None:
    """Bind the transaction in progress, or the one the next statement begins."""
    _require_transaction(connection)

    def execute(statement: Statement) -> Row | None:
        with RawCursor(connection, row_factory=tuple_row) as cursor:
            # psycopg's own types want literal text; a binder's is the application's, and has no user's input in it.
            return cursor.execute(statement.text.encode(), statement.values).fetchone()

    run(guard.bind(scope), execute)


async def bind_async(connection: AsyncConnection[Any], guard: Guard, scope: Scope) -> None:
    """The same for an ``AsyncConnection``."""
    _require_transaction(connection)

    async def execute(statement: Statement) -> Row | None:
        async with AsyncRawCursor(connection, row_factory=tuple_row) as cursor:
            return await (await cursor.execute(statement.text.encode(), statement.values)).fetchone()

    await run_async(guard.bind(scope), execute)


@contextmanager
def pooled(
    pool: ConnectionPool[_Connection], guard: Guard, timeout: float | None
) -> Generator[_Connection, None, None]:
    """A connection of the pool inside a transaction of the current tenant."""
    scope = require_scope()
    with pool.connection(timeout) as connection:
        try:
            with connection.transaction():
                bind(connection, guard, scope)
                yield connection
        finally:
            clean(connection)


@asynccontextmanager
async def pooled_async(
    pool: AsyncConnectionPool[_AsyncConnection], guard: Guard, timeout: float | None
) -> AsyncGenerator[_AsyncConnection, None]:
    """The same for an ``AsyncConnectionPool``."""
    scope = require_scope()
    async with pool.connection(timeout) as connection:
        try:
            async with connection.transaction():
                await bind_async(connection, guard, scope)
                yield connection
        finally:
            await _clean_async(connection)


def clean(connection: Connection[Any], *, role: str | None = None) -> None:
    """Undo what outlives a transaction, and let the session act as ``role``.

    A connection where that fails is closed, and its pool makes another.
    """
    if connection.closed:
        return
    try:
        before = connection.autocommit
        connection.autocommit = True
        connection.execute(_CLEAN)
        if role:
            connection.execute(SQL("SET ROLE {}").format(Identifier(role)))
        connection.autocommit = before
    except BaseException as error:
        connection.close()
        _tell_or_raise(error)


async def _clean_async(connection: AsyncConnection[Any]) -> None:
    if connection.closed:
        return
    try:
        before = connection.autocommit
        await connection.set_autocommit(True)
        await connection.execute(_CLEAN)
        await connection.set_autocommit(before)
    except BaseException as error:
        await connection.close()
        _tell_or_raise(error)


def _tell_or_raise(error: BaseException) -> None:
    # The transaction has ended by then, well or not: an error of ours must not say otherwise. An interrupt is passed on.
    if not isinstance(error, Exception):
        raise error
    _logger.warning("a connection could not be cleaned for the next tenant and was closed: %s", error)


def _require_transaction(connection: Connection[Any] | AsyncConnection[Any]) -> None:
    if connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE:
        raise NotConfigured(
            "the connection is in autocommit and no transaction is open: a tenant is bound until the end of one. "
            "Use `with connection.transaction():` around it"
        )
