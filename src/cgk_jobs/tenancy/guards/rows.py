"""PostgreSQL, all tenants in one table: row security shows and takes only the rows of the tenant bound to the transaction.

A binder says how a transaction is bound. ``PlainSetting`` uses a setting that any SQL may change: it guards against a forgotten
WHERE, not against SQL written by an attacker. A signed one holds against that too: only its key's holder can bind.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cgk_jobs.errors import NotConfigured
from cgk_jobs.tenancy.context import Scope
from cgk_jobs.tenancy.guards.binding import Row, Statement, Steps
from cgk_jobs.tenancy.guards.schemas import quote_identifier

__all__ = ["Binder", "PlainSetting", "TenantRows", "row_security_sql"]

_is_setting = re.compile(r"[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*").fullmatch

_ROLE = """SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls)"""


class Binder(Protocol):
    """How the tenant gets into a transaction, where the policies of the tables find it."""

    @property
    def question(self) -> str:
        """A statement whose first row the answer is made of; empty if it needs none."""
        ...

    def answer(self, row: Sequence[object], tenant_id: str) -> tuple[str, Sequence[object]]:
        """The statement, with the values of its ``$1``, that binds the tenant until the transaction ends.

        It must return a row; returning none refuses the transaction.
        """
        ...


@dataclass(frozen=True)
class PlainSetting:
    """The tenant is a setting of the transaction, such as ``app.tenant_id``.

    Weaker than a signed binder: SQL inside the transaction can change it.
    Raises ``NotConfigured`` for a name that isn't two words of ``a-z 0-9 _`` with a dot between.
    """

    name: str = "app.tenant_id"

    def __post_init__(self) -> None:
        if _is_setting(self.name) is None:
            raise NotConfigured(f"{self.name!r} can't name a setting of an application: write it as app.tenant_id")

    @property
    def question(self) -> str:
        """There is none."""
        return ""

    @property
    def bound(self) -> str:
        """The SQL expression for the bound tenant; NULL if there is none (a setting that ended is ``''``, not NULL)."""
        return f"nullif(current_setting('{self.name}', true), '')"

    def answer(self, row: Sequence[object], tenant_id: str) -> tuple[str, Sequence[object]]:
        """Set it until the transaction ends."""
        return "SELECT pg_catalog.set_config($1, $2, true)", (self.name, tenant_id)


@dataclass
class TenantRows:
    """Rows carry their tenant in a column, and row security compares it with the tenant the ``binder`` bound.

    ``bound`` is the SQL expression by which policies learn the bound tenant; by default the binder's own ``bound``. The login must not
    be superuser or have BYPASSRLS: row security would not hold for it, so the first transaction raises ``NotConfigured``;
    ``unsafe_role=True`` lets it pass.
    Across tenants nothing is bound: only a login with a policy of its own (``platform_role=`` of :meth:`table_sql`) sees rows.
    """

    binder: Binder = field(default_factory=PlainSetting)
    bound: str = ""
    unsafe_role: bool = False
    _role_is_safe: bool = field(default=False, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.bound = self.bound or str(getattr(self.binder, "bound", ""))

    def table_sql(self, table: str, *, column: str = "tenant_id", platform_role: str | None = None) -> str:
        """The SQL that puts a table under row security; see :func:`row_security_sql`."""
        if not self.bound:
            raise NotConfigured("TenantRows needs bound=: the SQL expression by which a policy learns the bound tenant")
        return row_security_sql(table, self.bound, column=column, platform_role=platform_role)

    def bind(self, scope: Scope) -> Steps:
        """Bind the transaction. Raises ``NotConfigured`` for a login that row security doesn't hold for."""
        if not (self.unsafe_role or self._role_is_safe):
            row = yield Statement(_ROLE)
            if row is not None:
                raise NotConfigured(
                    f"row security doesn't hold for the login {row[0]!r}: it is superuser or has BYPASSRLS. Connect as a login "
                    "that has neither and doesn't own the tables"
                )
            self._role_is_safe = True
        if scope.tenant_id is None:
            if isinstance(self.binder, PlainSetting):
                yield Statement(*_statement(self.binder.answer((), "")))
            return
        asked: Row | None = ()
        if self.binder.question:
            asked = yield Statement(self.binder.question)
        if asked is None or (yield Statement(*_statement(self.binder.answer(asked, scope.tenant_id)))) is None:
            raise NotConfigured(f"the database did not let tenant {scope.tenant_id!r} be bound: {self.binder!r}")


def row_security_sql(table: str, bound: str, *, column: str = "tenant_id", platform_role: str | None = None) -> str:
    """The SQL that puts ``table`` (``"orders"`` or ``"shop.orders"``) under row security, also for its owner.

    ``bound`` is an expression for the bound tenant; where it is NULL or ``''`` no row is seen and none is taken. A login that is
    member of ``platform_role`` sees all rows while no tenant is bound, and else the bound tenant's, as everybody.
    TRUNCATE and foreign keys pass row security by: don't grant the one, and have the tenant in the other.
    """
    name = ".".join(map(quote_identifier, table.split(".")))
    key = quote_identifier(column)
    same = f"{key} = (SELECT nullif({bound}, ''))"
    text = (
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;\n"
        f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY;\n"
        f"CREATE POLICY tenant_rows ON {name}\n"
        f"    USING ({same})\n"
        f"    WITH CHECK ({same});\n"
    )
    if platform_role is not None:
        nobody = f"(SELECT nullif({bound}, '')) IS NULL"
        text += (
            f"CREATE POLICY platform_rows ON {name} TO {quote_identifier(platform_role)}\n"
            f"    USING ({nobody})\n"
            f"    WITH CHECK ({nobody});\n"
        )
    return text


def _statement(answer: tuple[str, Sequence[object]]) -> tuple[str, tuple[object, ...]]:
    text, values = answer
    return text, tuple(values)
