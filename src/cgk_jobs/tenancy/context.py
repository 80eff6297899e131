"""Who is acting: one tenant, or, declared with a reason, the platform across tenants.

The scope is a context variable: asyncio tasks and ``asyncio.to_thread`` inherit it, threads that a handler starts
itself do not, and a missing scope raises instead of meaning "all".
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass

from cgk_jobs.errors import TenantMismatch, TenantRequired
from cgk_jobs.tenancy.ids import PLATFORM, parse_tenant_id

__all__ = [
    "PLATFORM_SCOPE",
    "Scope",
    "across_tenants",
    "current_scope",
    "current_tenant",
    "enter_scope",
    "leave_scope",
    "require_same_tenant",
    "require_scope",
    "tenant_context",
    "tenant_scope",
]

_logger = logging.getLogger("cgk_jobs.tenancy")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a reader or actor may touch: one tenant's rows, or, with ``tenant_id`` ``None``, all of them for ``reason``."""

    tenant_id: str | None
    reason: str = ""

    @property
    def crosses(self) -> bool:
        """True if it reaches across tenants."""
        return self.tenant_id is None


PLATFORM_SCOPE = Scope(PLATFORM)
"""The scope of the installation's own runs: a tenant of its own, which crosses over only by :func:`across_tenants`."""

_scope: ContextVar[Scope | None] = ContextVar("cgk_jobs_scope", default=None)
_scopes: dict[str, Scope] = {}


def tenant_scope(tenant_id: str) -> Scope:
    """The scope of one tenant whose id was already checked (interned: a worker enters one for every run)."""
    scope = _scopes.get(tenant_id)
    if scope is None:
        if len(_scopes) > 10_000:
            _scopes.clear()
        scope = _scopes[tenant_id] = Scope(tenant_id)
    return scope


def enter_scope(scope: Scope) -> Token[Scope | None]:
    """Make ``scope`` current; hand the token to :func:`leave_scope`."""
    return _scope.set(scope)


def leave_scope(token: Token[Scope | None]) -> None:
    """Return to the scope before :func:`enter_scope`."""
    _scope.reset(token)


def current_scope() -> Scope | None:
    """The scope, or ``None`` outside any."""
    return _scope.get()


def require_scope() -> Scope:
    """The scope. Raises ``TenantRequired`` outside any."""
    scope = _scope.get()
    if scope is None:
        raise TenantRequired(
            'no tenant is current: use `with tenant_context("…"):` or, across tenants, '
            '`with across_tenants(reason="…"):`'
        )
    return scope


def current_tenant() -> str:
    """The current tenant's id. Raises ``TenantRequired`` if there is none, also inside ``across_tenants``."""
    scope = require_scope()
    if scope.tenant_id is None:
        raise TenantRequired('this code runs across tenants: enter one with `with tenant_context("…"):`')
    return scope.tenant_id


def require_same_tenant(tenant_id: str) -> None:
    """Refuse to act for ``tenant_id`` from inside another tenant. Raises ``TenantMismatch``."""
    scope = _scope.get()
    if scope is None or scope.tenant_id is None or scope.tenant_id == tenant_id:
        return
    raise TenantMismatch(
        f"tenant {scope.tenant_id!r} is current and can't act for {tenant_id!r}. If it must, "
        'wrap the call in `with across_tenants(reason="…"):`'
    )


@contextmanager
def tenant_context(tenant_id: str) -> Generator[str, None, None]:
    """Make ``tenant_id`` current inside the block.

    Raises ``InvalidEvent`` or ``TenantRequired`` for a bad id, and ``TenantMismatch`` inside another tenant's block:
    crossing over needs :func:`across_tenants`.
    """
    parsed = parse_tenant_id(tenant_id)
    require_same_tenant(parsed)
    token = _scope.set(tenant_scope(parsed))
    try:
        yield parsed
    finally:
        _scope.reset(token)


@contextmanager
def across_tenants(*, reason: str) -> Generator[None, None, None]:
    """Act across tenants inside the block; ``reason`` is written to the log. The only way to do so."""
    if not reason.strip():
        raise TenantRequired("across_tenants needs a reason: it is written to the log")
    before = _scope.get()
    _logger.warning("acting across tenants: %s", reason, extra={"tenant_id": (before and before.tenant_id) or PLATFORM})
    token = _scope.set(Scope(None, reason))
    try:
        yield
    finally:
        _scope.reset(token)
