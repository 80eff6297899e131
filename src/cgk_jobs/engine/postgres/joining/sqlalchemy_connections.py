"""SQLAlchemy: ``Connection``, ``Session``, ``AsyncConnection``, ``AsyncSession``, over whichever driver of PostgreSQL.

Statements go through SQLAlchemy, which begins its transaction with the first one, and shows them to the application's hooks.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, SessionTransaction, scoped_session

from cgk_jobs.engine.postgres.joining.connections import (
    LEDGER,
    UserConnection,
    is_any,
    no_coroutine_waits,
    no_transaction,
    transaction_open,
)
from cgk_jobs.errors import Unsupported
from cgk_jobs.portal import has_calling_thread, on_callers_thread
from cgk_jobs.tenancy.guards.binding import percent_style

__all__ = ["adapt"]

T = TypeVar("T")

_WANTED = "cgk_jobs.wanted_after_commit"
"""In a session's ``info``: what is to be called; there since its first send."""


def adapt(connection: Any) -> UserConnection | None:
    """The connection; of a session the one it works on."""
    if is_any(connection, scoped_session, async_scoped_session):
        connection = connection()
    if isinstance(connection, (Connection, Session)):
        return _Blocking(connection)
    if isinstance(connection, (AsyncConnection, AsyncSession)):
        return _Awaited(connection)
    return None


class _Blocking:
    def __init__(self, owner: Connection | Session) -> None:
        self._owner = owner

    async def _run(self, function: Callable[[Connection | Session], T]) -> T:
        return await on_callers_thread(lambda: function(self._owner))

    async def require_transaction(self) -> None:
        await self._run(_require_transaction)

    async def row(self, text: str, *values: str | None) -> Sequence[Any] | None:
        return await self._run(lambda owner: _row(owner, text, values))

    async def after_commit(self, call: Callable[[], None]) -> None:
        if isinstance(self._owner, Session):
            _call_at_end(self._owner, call)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None, None]:
        if self._owner.in_transaction():
            raise transaction_open()
        with self._owner.begin():
            yield


class _Awaited:
    def __init__(self, owner: AsyncConnection | AsyncSession) -> None:
        self._owner = owner

    async def _run(self, function: Callable[[Connection | Session], T]) -> T:
        return await self._owner.run_sync(function)

    async def require_transaction(self) -> None:
        if has_calling_thread():
            raise no_coroutine_waits(f"an {type(self._owner).__name__}")
        await self._run(_require_transaction)

    async def row(self, text: str, *values: str | None) -> Sequence[Any] | None:
        return await self._run(lambda owner: _row(owner, text, values))

    async def after_commit(self, call: Callable[[], None]) -> None:
        if isinstance(self._owner, AsyncSession):
            _call_at_end(self._owner.sync_session, call)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None, None]:
        if self._owner.in_transaction():
            raise transaction_open()
        async with self._owner.begin():
            yield


def _connection_of(owner: Connection | Session) -> Connection:
    return owner.connection() if isinstance(owner, Session) else owner


def _require_transaction(owner: Connection | Session) -> None:
    connection = _connection_of(owner)
    if connection.dialect.name != "postgresql":
        raise Unsupported(
            f"connection= to {connection.dialect.name}",
            LEDGER,
            "Send after the commit, with key=, or use its database.",
        )
    if getattr(connection.connection.dbapi_connection, "autocommit", False):
        raise no_transaction("on an engine without isolation_level='AUTOCOMMIT'")


def _row(owner: Connection | Session, text: str, values: tuple[str | None, ...]) -> Sequence[Any] | None:
    connection = _connection_of(owner)
    if values and connection.dialect.paramstyle in ("format", "pyformat"):
        text = percent_style(text)
    row = connection.exec_driver_sql(text, values or None).fetchone()
    return None if row is None else tuple(row)


def _call_at_end(session: Session, call: Callable[[], None]) -> None:
    """``after_commit`` is told of savepoints too; the end of the outermost transaction comes after its commit."""
    listens = _WANTED in session.info
    session.info[_WANTED] = call
    if not listens:
        event.listen(session, "after_transaction_end", _ended)


def _ended(session: Session, transaction: SessionTransaction) -> None:
    call: Callable[[], None] | None = session.info.get(_WANTED)
    if transaction.parent is None and call is not None:
        # The listener stays: none can be taken away while it is called.
        session.info[_WANTED] = None
        call()
