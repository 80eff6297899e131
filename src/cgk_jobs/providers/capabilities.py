"""What a provider delivers by itself. All else is done by the ledger, the same with every provider."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["EMBEDDED", "POSTGRES", "Capabilities"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """``True``: delivered natively by the provider, ``False``: by the ledger and this package.

    ``transactional_send`` says whether ``send(connection=…)`` can join the application's own transaction, and
    ``many_hosts`` whether workers may run on several machines.
    """

    delay: bool
    priority: bool
    tenant_concurrency: bool
    cron_clock: bool
    scale_to_zero: bool
    transactional_send: bool
    many_hosts: bool


EMBEDDED = Capabilities(
    delay=True,
    priority=True,
    tenant_concurrency=True,
    cron_clock=True,
    scale_to_zero=False,
    transactional_send=False,
    many_hosts=False,
)
"""A loop that claims from a SQLite file."""

POSTGRES = replace(EMBEDDED, transactional_send=True, many_hosts=True)
"""A loop that claims from PostgreSQL."""
