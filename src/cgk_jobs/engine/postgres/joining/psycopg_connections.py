"""psycopg 3: ``Connection``, ``AsyncConnection``, and the connection of a cursor."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection, AsyncCursor, AsyncRawCursor, Connection, Cursor, RawCursor
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from cgk_jobs.engine.postgres.joining.connections import (
    UserConnection,
    is_any,
    no_coroutine_waits,
    no_transaction,
    transaction_open,
)
from cgk_jobs.portal import has_calling_thread, on_callers_thread

__all__ = ["adapt"]


def adapt(connection: Any) -> UserConnection | None:
    """The connection, or a cursor's."""
    if is_any(connection, Cursor, AsyncCursor):
        connection = connection.connection
    if is_any(connection, Connection):
        return _Blocking(connection)
    if is_any(connection, AsyncConnection):
        return _Awaited(connection)
    return None


class _Blocking:
    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection

    async def require_transaction(self) -> None:
        # Without autocommit the first statement begins a transaction.
        if self._connection.autocommit and _is_idle(self._connection):
            raise no_transaction("with connection.transaction()")

    async def row(self, text: str, *values: str | None) -> Sequence[Any] | None:
        return await on_callers_thread(lambda: self._row(text, values))

    def _row(self, text: str, values: tuple[str | None, ...]) -> Sequence[Any] | None:
        # Of the class itself: the connection's own cursors may give rows of another kind, and read % as a placeholder.
        with RawCursor(self._connection, row_factory=tuple_row) as cursor:
            return cursor.execute(text.encode(), values).fetchone()

    async def after_commit(self, call: Callable[[], None]) -> None:
        """psycopg does not tell."""

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None, None]:
        if not _is_idle(self._connection):
            raise transaction_open()
        with self._connection.transaction():
            yield


class _Awaited:
    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection

    async def require_transaction(self) -> None:
        if has_calling_thread():
            raise no_coroutine_waits("an AsyncConnection")
        if self._connection.autocommit and _is_idle(self._connection):
            raise no_transaction("async with connection.transaction()")

    async def row(self, text: str, *values: str | None) -> Sequence[Any] | None:
        async with AsyncRawCursor(self._connection, row_factory=tuple_row) as cursor:
            return await (await cursor.execute(text.encode(), values)).fetchone()

    async def after_commit(self, call: Callable[[], None]) -> None:
        """psycopg does not tell."""

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None, None]:
        if not _is_idle(self._connection):
            raise transaction_open()
        async with self._connection.transaction():
            yield


def _is_idle(connection: Connection[Any] | AsyncConnection[Any]) -> bool:
    return connection.info.transaction_status == TransactionStatus.IDLE
