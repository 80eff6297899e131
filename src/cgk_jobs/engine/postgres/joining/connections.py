"""Which driver or framework an application's connection is of, and what is asked of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import Any, Protocol

from cgk_jobs.errors import NotConfigured, Unsupported

__all__ = [
    "LEDGER",
    "UserConnection",
    "is_any",
    "no_coroutine_waits",
    "no_transaction",
    "recognise",
    "transaction_open",
]

LEDGER = "the ledger in PostgreSQL"
"""How ``Unsupported`` names who refuses."""


class UserConnection(Protocol):
    """A connection of the application's, with its own transaction.

    Connections that are not awaited block the thread they are used in: the caller's own, be it an event loop's.
    What the driver raises in a statement is passed on as it is: the application's transaction has failed, and its framework
    knows what to do.
    """

    async def require_transaction(self) -> None:
        """Raises ``NotConfigured`` where what is written next would be committed at once."""
        ...

    async def row(self, text: str, *values: str | None) -> Sequence[Any] | None:
        """The first row of a statement, whose ``$1``, ``$2`` stand in it once and in order."""
        ...

    async def after_commit(self, call: Callable[[], None]) -> None:
        """Call once the transaction in progress has ended, where the framework tells; never, where it doesn't."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """A transaction: committed at the end of the block, rolled back if it raises. Raises ``NotConfigured`` inside one."""
        ...


def is_any(connection: Any, *classes: type) -> bool:
    """``isinstance``, after which the type checkers still take the connection for anything: of generic classes they would ask
    of what."""
    return isinstance(connection, classes)


_ADAPTERS = {
    "psycopg": "psycopg_connections",
    "asyncpg": "asyncpg_connections",
    "sqlalchemy": "sqlalchemy_connections",
    "django": "django_connections",
}


def recognise(connection: Any, feature: str) -> UserConnection:
    """What the application gave as ``connection=`` of ``feature``. Raises ``Unsupported`` for anything else than a connection.

    Run it in the thread the connection belongs to: Django's are found by it.
    """
    for cls in type(connection).__mro__:
        module = _ADAPTERS.get(cls.__module__.partition(".")[0])
        if module is not None:
            adapt: Callable[[Any], UserConnection | None] = import_module(f"{__package__}.{module}").adapt
            found = adapt(connection)
            if found is not None:
                return found
            break
    raise Unsupported(
        f"{feature} with {type(connection).__module__}.{type(connection).__qualname__}",
        LEDGER,
        "Give a connection of psycopg 3, asyncpg, SQLAlchemy (a session too) or Django, with the transaction open.",
    )


def no_transaction(how: str) -> NotConfigured:
    """The refusal of a connection that commits every statement by itself."""
    return NotConfigured(
        "the connection has no transaction open (autocommit), so there is nothing that could be committed together: "
        f"begin one first, {how}"
    )


def transaction_open() -> NotConfigured:
    """The refusal of a connection on which a transaction can't be begun."""
    return NotConfigured(
        "the connection has a transaction open: a step with connection= begins and commits one of its own; give a connection "
        "that is idle (after commit or rollback)"
    )


def no_coroutine_waits(kind: str) -> NotConfigured:
    """The refusal of a connection that is awaited, given to a blocking call."""
    return NotConfigured(
        f"{kind} belongs to its event loop, which a blocking call would hold up: use `await jobs.send(…)` there, or give "
        "a connection that is not awaited"
    )
