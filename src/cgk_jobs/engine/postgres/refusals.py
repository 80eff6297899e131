"""asyncpg's errors as the package's: what was refused, and what to do."""

from __future__ import annotations

import asyncpg

from cgk_jobs.engine.postgres.address import Address
from cgk_jobs.errors import JobsError, NotConfigured, ProviderUnavailable, WriteRefused

__all__ = ["DRIVER_ERRORS", "is_conflict", "is_lost", "is_pooler_trouble", "refusal"]

DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""What connecting or a statement may raise (``TimeoutError`` is an ``OSError``, named for the reader)."""

_CONFLICTS = frozenset({"40001", "40P01", "55P03"})
_POOLER = frozenset({"26000", "42P05"})
_ENDED_BY_SERVER = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03"})
_APPLY = "run: cgk jobs schema apply"


def _state(error: BaseException) -> str:
    return getattr(error, "sqlstate", None) or ""


def is_conflict(error: BaseException) -> bool:
    """Whether the same transaction may well pass when it is done again: deadlock, serialization, a lock's timeout, or a
    statement prepared before the schema changed."""
    if isinstance(error, asyncpg.UniqueViolationError):
        # A number given twice, as the database's clock was set back to a moment it had been at; or a wake-up passed on to a
        # run that got its own at the same moment.
        return error.constraint_name in ("runs_pkey", "wakeups_of_run")
    return _state(error) in _CONFLICTS or isinstance(error, asyncpg.InvalidCachedStatementError)


def is_pooler_trouble(error: BaseException) -> bool:
    """Whether a pooler handed out a server connection which does not know, or knows otherwise, a prepared statement."""
    return _state(error) in _POOLER


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone with it."""
    if isinstance(error, asyncpg.PostgresError):
        state = _state(error)
        return state in _ENDED_BY_SERVER or state.startswith("08")
    return isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError | OSError)


def refusal(error: BaseException, address: Address, *, connecting: bool = False) -> JobsError | None:
    """The package's error for one of the driver's; ``None`` for a fault of the statement itself."""
    said = str(error) or type(error).__name__
    if connecting:
        found = _at_connect(error, address, said)
        if found is not None:
            return found
    state = _state(error)
    if state in ("42P01", "3F000") or (state == "42883" and "cgk_jobs." in said):
        return NotConfigured(f"{address.shown} has no ledger of this version ({said}); {_APPLY}")
    if state == "42501":
        return NotConfigured(
            f"the login {address.user or 'used'} may not do this in {address.shown}: {said}. Set JOBS_DATABASE_URL to the "
            "worker login that `cgk jobs schema apply` makes"
        )
    if state.startswith(("22", "23")):
        return WriteRefused(f"{address.shown} refused a write: {said}. Nothing of it was stored")
    if state == "25006":
        return ProviderUnavailable(f"{address.shown} is read-only ({said}): give the address of the primary server")
    if state.startswith("53"):
        return ProviderUnavailable(
            f"{address.shown} is out of a resource: {said}. Free disk, memory or connections there"
        )
    if state == "57014":
        return ProviderUnavailable(
            f"{address.shown} cancelled a statement: {said}. Look at the login's statement_timeout"
        )
    if is_conflict(error):
        return ProviderUnavailable(
            f"{address.shown}: {said}, again and again. Look in pg_stat_activity for a session holding locks in the "
            "schema cgk_jobs"
        )
    if isinstance(error, TimeoutError):
        return ProviderUnavailable(f"{address.shown} did not answer in time: is its host reachable and not overloaded?")
    if is_lost(error):
        return ProviderUnavailable(
            f"the connection to {address.shown} was lost: {said}. It is opened again at next use"
        )
    return None


def _at_connect(error: BaseException, address: Address, said: str) -> JobsError | None:
    state = _state(error)
    if isinstance(error, asyncpg.ClientConfigurationError):
        return NotConfigured(f"the database address for {address.shown} can't be used: {said}")
    if state.startswith("28") or "authentication failed" in said:
        return NotConfigured(f"{address.shown} refuses the login ({said}): check user and password of the address")
    if state == "3D000" or "no such database" in said:
        return NotConfigured(
            f"{address.shown}: {said}. Make the database (createdb), then {_APPLY}; or correct the address"
        )
    if state == "53300":
        return ProviderUnavailable(
            f"{address.shown} has no connection left ({said}): raise max_connections, or put a pooler before it"
        )
    if state == "42704" or (state == "08P01" and "startup parameter" in said):
        return NotConfigured(f"{address.shown} refuses an option of the address: {said}. Take it out")
    if isinstance(error, TimeoutError):
        return ProviderUnavailable(
            f"can't reach PostgreSQL at {address.shown}: no answer. Is the address right, and a firewall open?"
        )
    if is_lost(error):
        return ProviderUnavailable(
            f"can't reach PostgreSQL at {address.shown}: {said}. Is it running, and the address right?"
        )
    return None
