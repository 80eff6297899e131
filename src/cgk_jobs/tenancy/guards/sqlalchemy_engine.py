"""SQLAlchemy: an engine whose every transaction belongs to the current tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from cgk_jobs.errors import NotConfigured
from cgk_jobs.tenancy.context import Scope, require_scope
from cgk_jobs.tenancy.guards.binding import (
    CLEAN_CONNECTION,
    Guard,
    GuardLike,
    Row,
    Statement,
    guard_of,
    percent_style,
    require_bound_scope,
    run,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    _E = TypeVar("_E", Engine, AsyncEngine)

__all__ = ["guard_engine"]

_BOUND = "cgk_jobs.tenancy.bound"
_guarded: WeakSet[Any] = WeakSet()


def guard_engine(engine: _E, by: GuardLike) -> _E:
    """Guard ``engine`` (sync or async, of PostgreSQL) and return it.

    A transaction is bound to the tenant that is current at its first statement; a statement under another tenant raises
    ``TenantMismatch``, one without a tenant ``TenantRequired``. AUTOCOMMIT is refused: a tenant is bound to a transaction. A
    connection that goes back to the pool is cleaned first. What passes the engine by, such as ``engine.raw_connection()``, is
    not bound: rows stay closed to it, schemas only by ``TenantSchemas.login_sql``.
    """
    try:
        from sqlalchemy import event
        from sqlalchemy.engine import Engine
    except ImportError as missing:
        raise NotConfigured("guard_engine needs SQLAlchemy: pip install 'sqlalchemy>=2'") from missing
    target: Any = getattr(engine, "sync_engine", engine)
    if not isinstance(target, Engine) or target.dialect.name != "postgresql":
        raise NotConfigured(f"guard_engine takes an Engine or AsyncEngine of PostgreSQL, not {engine!r}")
    if target in _guarded:
        raise NotConfigured(f"{engine!r} is guarded already: make an engine for each guard")
    hooks = _Hooks(guard_of(by))
    event.listen(target, "begin", hooks.begun)
    event.listen(target, "begin_twophase", hooks.begun)
    event.listen(target, "before_cursor_execute", hooks.before_statement)
    event.listen(target, "reset", hooks.going_back)
    _guarded.add(target)
    return engine


class _Hooks:
    """What the engine's events do. ``connection.info`` keeps the scope of the transaction in progress."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def begun(self, connection: Connection, *_: Any) -> None:
        # Bound with its first statement: SQLAlchemy counts a transaction as begun only after this, and one whose beginning was
        # refused here could never be committed.
        connection.info.pop(_BOUND, None)

    def before_statement(self, connection: Connection, *_: Any) -> None:
        scope = require_scope()
        bound: Scope | None = connection.info.get(_BOUND)
        if bound is None:
            self._bind(connection, scope)
        else:
            require_bound_scope(bound, scope)

    def going_back(self, dbapi_connection: Any, record: Any, state: Any) -> None:
        if record is not None:
            record.info.pop(_BOUND, None)
        if state.terminate_only or not state.asyncio_safe:
            return  # it is thrown away
        dbapi_connection.rollback()
        if hasattr(dbapi_connection, "run_async"):
            dbapi_connection.run_async(_clean_async)
        else:
            cursor = dbapi_connection.cursor()
            cursor.execute(CLEAN_CONNECTION)
            cursor.close()
        dbapi_connection.commit()

    def _bind(self, connection: Connection, scope: Scope) -> None:
        driver = connection.connection
        if getattr(driver.dbapi_connection, "autocommit", False):
            raise NotConfigured(
                "a guarded engine can't work in AUTOCOMMIT: a tenant is bound until the end of a transaction. "
                "Use an engine of its own, without guard, for what must run outside one"
            )
        percent = connection.dialect.paramstyle in ("format", "pyformat")

        def execute(statement: Statement) -> Row | None:
            # On the driver's cursor: the engine's own events must not see it.
            cursor = driver.cursor()
            try:
                if not statement.values:
                    cursor.execute(statement.text)
                else:
                    cursor.execute(percent_style(statement.text) if percent else statement.text, statement.values)
                row: Row | None = cursor.fetchone()
                return row
            finally:
                cursor.close()

        run(self._guard.bind(scope), execute)
        connection.info[_BOUND] = scope


def _clean_async(driver: Any) -> Any:
    return driver.execute(CLEAN_CONNECTION)
