"""What a provider delivers by itself. All else is done by the ledger, the same with every provider."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["BULLMQ", "EMBEDDED", "INNGEST", "POSTGRES", "QSTASH", "TRIGGER_DEV", "VERCEL_CRON", "Capabilities", "Wakes"]

Wakes = Literal["claims", "worker", "calls", "clock"]
"""How runs are woken: a loop that claims from the ledger by itself; a loop in this process that takes wake-ups from the
provider; calls of the provider over HTTP; calls at fixed times, each of which drains what is due."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """``True``: delivered natively by the provider, ``False``: by the ledger and this package.

    ``wakes``: how runs are woken. ``cron_clock``: it has a clock that rings schedules. ``scale_to_zero``: no process of the
    application need run between runs. ``transactional_send``: ``send(connection=…)`` can join the application's own
    transaction, which is the ledger's doing (PostgreSQL). ``many_hosts``: workers may run on several machines.
    ``longest_delay``: seconds the provider can hold a wake-up back at most; the overdue sweep of any started process takes
    it from there (``None``: no such limit). ``batch``: wake-ups it takes in one request; 0: it takes none, and is a clock
    alone.
    """

    wakes: Wakes
    delay: bool
    priority: bool
    tenant_concurrency: bool
    cron_clock: bool
    scale_to_zero: bool
    transactional_send: bool
    many_hosts: bool
    longest_delay: float | None = None
    batch: int = 1


_DAY = 86_400.0

EMBEDDED = Capabilities(
    wakes="claims",
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

BULLMQ = Capabilities(
    wakes="worker",
    delay=True,
    priority=True,
    tenant_concurrency=False,
    cron_clock=True,
    scale_to_zero=False,
    transactional_send=False,
    many_hosts=True,
    batch=500,
)
"""Jobs in Redis, taken by a BullMQ worker in this process. Groups per tenant are the vendor's paid edition."""

INNGEST = Capabilities(
    wakes="calls",
    delay=True,
    priority=True,
    tenant_concurrency=True,
    cron_clock=True,
    scale_to_zero=True,
    transactional_send=False,
    many_hosts=True,
    longest_delay=7 * _DAY,
    batch=1_000,
)
"""Events that call a function of the application. A delay of more than seven days is not on every plan."""

TRIGGER_DEV = Capabilities(
    wakes="calls",
    delay=True,
    priority=True,
    tenant_concurrency=True,
    cron_clock=True,
    scale_to_zero=True,
    transactional_send=False,
    many_hosts=True,
    longest_delay=365 * _DAY,
    batch=500,
)
"""Runs of generated TypeScript tasks, which call the application."""

QSTASH = Capabilities(
    wakes="calls",
    delay=True,
    priority=False,
    tenant_concurrency=True,
    cron_clock=True,
    scale_to_zero=True,
    transactional_send=False,
    many_hosts=True,
    longest_delay=7 * _DAY,
    batch=100,
)
"""Messages that call the application. A delay of more than seven days is not on every plan."""

VERCEL_CRON = Capabilities(
    wakes="clock",
    delay=False,
    priority=False,
    tenant_concurrency=False,
    cron_clock=True,
    scale_to_zero=True,
    transactional_send=False,
    many_hosts=True,
    longest_delay=0.0,
    batch=0,
)
"""A clock alone: each tick drains what is due."""
