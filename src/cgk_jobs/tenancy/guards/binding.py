"""What is run at the beginning of a transaction to bind it to a tenant, whichever driver runs it.

A guard yields statements and is sent their first rows; ``run`` and ``run_async`` carry them to the driver. Statements write
their values as PostgreSQL does, ``$1``, ``$2``.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Literal, NamedTuple, Protocol

from cgk_jobs.errors import NotConfigured, TenantMismatch
from cgk_jobs.tenancy.context import Scope

__all__ = [
    "CLEAN_CONNECTION",
    "Guard",
    "GuardLike",
    "Row",
    "Statement",
    "Steps",
    "guard_of",
    "percent_style",
    "require_bound_scope",
    "run",
    "run_async",
]

Row = Sequence[object]


class Statement(NamedTuple):
    """One SQL statement and the values of its ``$1``, ``$2``."""

    text: str
    values: tuple[object, ...] = ()


Steps = Generator[Statement, "Row | None", None]
"""Statements one after another; each is answered with its first row, ``None`` if it has none."""


class Guard(Protocol):
    """Keeps tenants apart in one PostgreSQL database. One object may serve any number of pools of the same login."""

    def bind(self, scope: Scope) -> Steps:
        """Bind the transaction that was just begun to ``scope``, until it ends.

        Raises ``NotConfigured`` if the database isn't set up so that the guard would hold.
        """
        ...


GuardLike = Guard | Literal["schema", "row"]

CLEAN_CONNECTION = """
RESET SESSION AUTHORIZATION; RESET ROLE; RESET search_path;
CLOSE ALL; UNLISTEN *; SELECT pg_catalog.pg_advisory_unlock_all();
DO $do$ DECLARE found pg_catalog.name; BEGIN
    FOR found IN SELECT name FROM pg_catalog.pg_prepared_statements WHERE from_sql LOOP
        EXECUTE pg_catalog.format('DEALLOCATE %I', found);
    END LOOP;
END $do$;
DISCARD SEQUENCES; DISCARD TEMP
"""
"""Takes from a connection what a handler may have left there beyond its transaction, for another tenant to find or to fall over: a
role, a search_path, held cursors, session locks, statements prepared by SQL, the last numbers of sequences, temporary tables.
Not ``DISCARD ALL``: drivers rely on the statements they prepared, applications on the settings they gave a connection when it was
opened."""


def guard_of(by: GuardLike) -> Guard:
    """The guard itself, or the one with default settings that ``"schema"`` or ``"row"`` names."""
    if by == "schema":
        from cgk_jobs.tenancy.guards.schemas import TenantSchemas

        return TenantSchemas()
    if by == "row":
        from cgk_jobs.tenancy.guards.rows import TenantRows

        return TenantRows()
    if isinstance(by, str):
        raise NotConfigured(f'by={by!r} is no guard: pass "schema", "row", or an object such as TenantRows(…)')
    return by


def run(steps: Steps, execute: Callable[[Statement], Row | None]) -> None:
    """Run the statements by ``execute``, which returns the first row."""
    statement = next(steps, None)
    while statement is not None:
        row = execute(statement)
        try:
            statement = steps.send(row)
        except StopIteration:
            return


async def run_async(steps: Steps, execute: Callable[[Statement], Awaitable[Row | None]]) -> None:
    """The same, for a driver that is awaited."""
    statement = next(steps, None)
    while statement is not None:
        row = await execute(statement)
        try:
            statement = steps.send(row)
        except StopIteration:
            return


def percent_style(text: str) -> str:
    """``text``, which has values, for drivers that write them as ``%s``. Its ``$n`` must stand in order, each once."""
    numbers = [int(number) for number in re.findall(r"\$(\d+)", text)]
    if numbers != list(range(1, len(numbers) + 1)):
        raise NotConfigured(f"a binding statement must name its values once and in order: {text}")
    return re.sub(r"\$\d+", "%s", text.replace("%", "%%"))


def require_bound_scope(bound: Scope, current: Scope) -> None:
    """Refuse to go on with a transaction that another scope began. Raises ``TenantMismatch``."""
    if bound.tenant_id != current.tenant_id:
        raise TenantMismatch(
            f"this transaction is bound to {_named(bound)} and {_named(current)} is current now: "
            "one transaction serves one tenant. Commit it, and begin another inside the tenant's block"
        )


def _named(scope: Scope) -> str:
    return "no tenant (across tenants)" if scope.tenant_id is None else f"tenant {scope.tenant_id!r}"
