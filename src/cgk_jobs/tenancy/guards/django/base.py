"""The engine: Django imports ``DatabaseWrapper`` from a module of this name."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

try:
    from django.db import NotSupportedError
    from django.db.backends.base.base import NO_DB_ALIAS
    from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper
    from django.db.backends.postgresql.psycopg_any import is_psycopg3
    from django.db.backends.utils import CursorDebugWrapper, CursorWrapper
except ImportError as missing:
    from cgk_jobs.errors import NotConfigured

    raise NotConfigured(
        "this database engine needs Django and psycopg 3: pip install django 'psycopg[binary]'"
    ) from missing

from cgk_jobs.errors import NotConfigured, ProviderUnavailable
from cgk_jobs.tenancy.context import Scope, require_scope
from cgk_jobs.tenancy.guards.binding import guard_of, require_bound_scope
from cgk_jobs.tenancy.guards.psycopg_connections import bind, clean

__all__ = ["DatabaseWrapper"]

_served: WeakKeyDictionary[Any, str | None] = WeakKeyDictionary()
"""The tenant each of psycopg's connections served last."""


class _BoundCursor:
    """The statements of a cursor, each inside a transaction that is bound. Mixed into Django's cursors."""

    db: DatabaseWrapper

    def execute(self, sql: Any, params: Any = None) -> Any:
        with self.db.bound():
            return super().execute(sql, params)  # type: ignore[misc]

    def executemany(self, sql: Any, param_list: Any) -> Any:
        with self.db.bound():
            return super().executemany(sql, param_list)  # type: ignore[misc]

    def callproc(self, procname: str, params: Any = None, kparams: Any = None) -> Any:
        with self.db.bound():
            return super().callproc(procname, params, kparams)  # type: ignore[misc]

    def __getattr__(self, name: str) -> Any:
        if name in ("copy", "stream"):
            # These are psycopg's own and go on after the call: a transaction of their own can't be put around them.
            self.db.bind_open_transaction(name)
        return super().__getattr__(name)  # type: ignore[misc]


class _Cursor(_BoundCursor, CursorWrapper):
    pass


class _DebugCursor(_BoundCursor, CursorDebugWrapper):
    pass


class DatabaseWrapper(PostgresWrapper):
    """PostgreSQL for the current tenant.

    Inside ``transaction.atomic`` (and ATOMIC_REQUESTS) the transaction is bound with its first statement, and one under another
    tenant raises ``TenantMismatch``. Outside, every statement gets a transaction of its own. Without a tenant: ``TenantRequired``.
    """

    def __init__(self, settings_dict: dict[str, Any], alias: str = "default") -> None:
        super().__init__(settings_dict, alias)
        tenants = settings_dict.get("OPTIONS", {}).get("tenants")
        if tenants is None:
            raise NotConfigured(
                f'DATABASES[{alias!r}][\'OPTIONS\'] says nothing of tenants: add "tenants": "row", "schema" '
                "or an object such as TenantRows(…)"
            )
        if not is_psycopg3:
            raise NotConfigured("this database engine needs psycopg 3: pip install 'psycopg[binary]'")
        self._guard = guard_of(tenants)
        self._bound: Scope | None = None

    def get_connection_params(self) -> dict[str, Any]:
        """Django's, without what is ours."""
        params: dict[str, Any] = super().get_connection_params()
        params.pop("tenants", None)
        return params

    def make_cursor(self, cursor: Any) -> CursorWrapper:
        """A cursor that is bound; not the one that makes and drops databases for tests."""
        return super().make_cursor(cursor) if self.alias == NO_DB_ALIAS else _Cursor(cursor, self)

    def make_debug_cursor(self, cursor: Any) -> CursorDebugWrapper:
        """The same with Django's log of queries."""
        return super().make_debug_cursor(cursor) if self.alias == NO_DB_ALIAS else _DebugCursor(cursor, self)

    @contextmanager
    def bound(self) -> Generator[None, None, None]:
        """What is executed inside belongs to the current tenant."""
        scope = require_scope()
        if not self.get_autocommit():
            self._bind(scope)
            yield
            return
        with self.wrap_database_errors, ExitStack() as transaction:
            self._hand_over(scope)
            try:
                transaction.enter_context(self.connection.transaction())
                bind(self.connection, self._guard, scope)
            except ProviderUnavailable:
                transaction.pop_all().close()
                self._clean()
                transaction.enter_context(self.connection.transaction())
                bind(self.connection, self._guard, scope)
            yield

    def bind_open_transaction(self, method: str) -> None:
        """Bind the transaction in progress for one of psycopg's own methods. Raises ``NotSupportedError`` outside one."""
        scope = require_scope()
        if self.get_autocommit():
            raise NotSupportedError(f"cursor.{method} for a tenant needs `with transaction.atomic():` around it")
        self._bind(scope)

    def _bind(self, scope: Scope) -> None:
        if self._bound is not None:
            require_bound_scope(self._bound, scope)
            return
        with self.wrap_database_errors:
            self._hand_over(scope)
            try:
                bind(self.connection, self._guard, scope)
            except ProviderUnavailable:
                self.connection.rollback()
                self._clean()
                bind(self.connection, self._guard, scope)
        self._bound = scope

    # Django keeps a connection for a thread. Before another tenant gets it, nothing of the last is left; and before the same
    # tenant goes on, if the binder takes what it finds there (temporary tables, say) for what somebody left as a trap.

    def _hand_over(self, scope: Scope) -> None:
        if _served.get(self.connection, scope.tenant_id) != scope.tenant_id:
            self._clean()
        _served[self.connection] = scope.tenant_id

    def _clean(self) -> None:
        """Outside a transaction, or before its BEGIN, which psycopg sends with the first statement."""
        clean(self.connection, role=self.settings_dict["OPTIONS"].get("assume_role"))

    # Wherever a transaction ends, so does the binding.

    def _commit(self) -> None:
        self._bound = None
        super()._commit()  # type: ignore[misc]

    def _rollback(self) -> None:
        self._bound = None
        super()._rollback()  # type: ignore[misc]

    def _close(self) -> None:
        self._bound = None
        super()._close()  # type: ignore[misc]
