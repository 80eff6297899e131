"""Django: ``django.db.connection``, ``connections["alias"]``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.connection import ConnectionProxy

from cgk_jobs.engine.postgres.joining.connections import LEDGER, UserConnection, no_transaction
from cgk_jobs.errors import NotConfigured, Unsupported
from cgk_jobs.portal import has_calling_thread, on_callers_thread
from cgk_jobs.tenancy.guards.binding import percent_style

__all__ = ["adapt"]


def adapt(connection: Any) -> UserConnection | None:
    """The connection of this thread."""
    if isinstance(connection, ConnectionProxy):
        connection = connections[connection.alias]
    return _Blocking(connection) if isinstance(connection, BaseDatabaseWrapper) else None


class _Blocking:
    def __init__(self, wrapper: BaseDatabaseWrapper) -> None:
        self._wrapper = wrapper

    async def require_transaction(self) -> None:
        if not has_calling_thread():
            raise NotConfigured(
                "a connection of Django can't be used in a coroutine: send with jobs.sync.send(…, connection=…) from a view or "
                "function that is no coroutine (in a coroutine, by sync_to_async)"
            )
        await on_callers_thread(self._require_transaction)

    def _require_transaction(self) -> None:
        if self._wrapper.vendor != "postgresql":
            raise Unsupported(
                f"connection= to {self._wrapper.vendor}",
                LEDGER,
                "Send after the commit, with key=, or use its database.",
            )
        if self._wrapper.get_autocommit():
            raise no_transaction("with transaction.atomic()")

    async def row(self, text: str, *values: str | None) -> Sequence[Any] | None:
        return await on_callers_thread(lambda: self._row(text, values))

    def _row(self, text: str, values: tuple[str | None, ...]) -> Sequence[Any] | None:
        with self._wrapper.cursor() as cursor:
            if values:
                cursor.execute(percent_style(text), values)
            else:
                cursor.execute(text)
            row: Sequence[Any] | None = cursor.fetchone()
            return row

    async def after_commit(self, call: Callable[[], None]) -> None:
        # Where autocommit is off and the application commits by itself, Django knows of no commit.
        if self._wrapper.in_atomic_block:
            await on_callers_thread(lambda: transaction.on_commit(call, using=self._wrapper.alias, robust=True))

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None, None]:
        raise NotConfigured(
            "a connection of Django can't be used in an async handler: give the step a connection of psycopg, asyncpg or "
            "SQLAlchemy"
        )
        yield
