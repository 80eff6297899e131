"""asyncpg: ``Connection``, also as a pool hands it out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from asyncpg.connection import Connection
from asyncpg.pool import PoolConnectionProxy

from cgk_jobs.engine.postgres.joining.connections import (
    UserConnection,
    is_any,
    no_coroutine_waits,
    no_transaction,
    transaction_open,
)
from cgk_jobs.portal import has_calling_thread

__all__ = ["adapt"]


def adapt(connection: Any) -> UserConnection | None:
    """The connection."""
    return _Awaited(connection) if is_any(connection, Connection, PoolConnectionProxy) else None


class _Awaited:
    def __init__(self, connection: Connection[Any] | PoolConnectionProxy[Any]) -> None:
        self._connection = connection

    async def require_transaction(self) -> None:
        if has_calling_thread():
            raise no_coroutine_waits("a connection of asyncpg")
        if not self._connection.is_in_transaction():
            raise no_transaction("async with connection.transaction()")

    async def row(self, text: str, *values: str | None) -> Sequence[Any] | None:
        record: Any = await self._connection.fetchrow(text, *values)
        return None if record is None else tuple(record)

    async def after_commit(self, call: Callable[[], None]) -> None:
        """asyncpg does not tell."""

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None, None]:
        if self._connection.is_in_transaction():
            raise transaction_open()
        async with self._connection.transaction():
            yield
