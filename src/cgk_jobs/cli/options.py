"""Options several commands share, and the kinds of values they take."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from cgk_jobs.clock import Clock

__all__ = [
    "ListByDefault",
    "app_option",
    "json_option",
    "scope",
    "since_moment",
    "tenant_options",
]

F = TypeVar("F", bound=Callable[..., Any])

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])").fullmatch
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def json_option(command: F) -> F:
    """``--json``: the result as one JSON document."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(command)


def app_option(command: F) -> F:
    """``--app``: the application, where the command can do without."""
    return click.option("--app", metavar="MODULE:ATTRIBUTE", help="Use this application's ledger, tasks and events.")(
        command
    )


def tenant_options(command: F) -> F:
    """``--tenant T`` and ``--all-tenants``: whose runs are meant. See ``scope``."""
    command = click.option("--all-tenants", is_flag=True, help="Act across all tenants.")(command)
    return click.option("--tenant", metavar="TENANT", help="Act for this tenant.")(command)


def scope(tenant: str | None, all_tenants: bool, command: str) -> AbstractContextManager[object]:
    """A block that acts for one tenant, or across all because the options say so.

    Raises ``TenantRequired`` at once where they say neither: there is no default. ``command`` is the reason that is logged.
    """
    from cgk_jobs.errors import TenantRequired
    from cgk_jobs.tenancy import across_tenants, parse_tenant_id, tenant_context

    if tenant is not None and all_tenants:
        raise click.UsageError("--tenant and --all-tenants exclude each other: give one of them")
    if tenant is not None:
        return tenant_context(parse_tenant_id(tenant))
    if all_tenants:
        return across_tenants(reason=f"cgk jobs {command}")
    raise TenantRequired(f"cgk jobs {command}: for which tenant? Give --tenant TENANT, or --all-tenants")


def since_moment(value: str | None, clock: Clock) -> datetime | None:
    """The moment of ``--since``: ``90s``, ``30m``, ``2h`` or ``7d`` ago, or an ISO 8601 datetime (local if it has no zone)."""
    from cgk_jobs.clock import from_micros

    if value is None:
        return None
    ago = _AGO(value)
    if ago:
        return from_micros(clock.micros()) - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
    try:
        return datetime.fromisoformat(value).astimezone()
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is neither a time ago (90s, 30m, 2h, 7d) nor an ISO 8601 datetime", param_hint="--since"
        ) from None


class ListByDefault(click.Group):
    """A group whose ``list`` runs where no command is named, with its options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``list`` in where it is meant."""
        if not args or (args[0].startswith("-") and args[0] != "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)
