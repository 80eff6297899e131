"""What the demo found out, and its JSON form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["CategoryResult", "DemoOptions", "DemoResult", "Progress", "TenantResult", "TicksResult", "Told"]


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """``folder`` ``None``: a temporary one, removed. ``kill``: SIGKILL a worker in the middle.

    ``tenants`` and ``days`` (of the stream's first ones) make it shorter, for tests; ``workers``: processes. ``server``: a
    PostgreSQL server's address, with a login that may make databases and roles, ``None``: SQLite; ``keep``: leave there
    what was made. ``provider``: who wakes the runs; a hosted one does it in real time, and without schedules.
    """

    folder: Path | None = None
    kill: bool = False
    tenants: tuple[str, ...] = ()
    days: int | None = None
    two_days: bool = True
    workers: int = 1
    server: str | None = field(default=None, repr=False)
    keep: bool = False
    provider: str = "embedded"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: ``done`` of ``total`` steps of a ``stage``, and a few words."""

    stage: str
    done: int
    total: int
    note: str = ""


Told = Callable[[Progress], None]


@dataclass(slots=True)
class TenantResult:
    """One tenant. ``expected_*`` are the file's figures. Waits are real milliseconds from send to first handler."""

    orders: int = 0
    expected_orders: int = 0
    revenue_pence: int = 0
    expected_pence: int = 0
    runs: int = 0
    wait_p50_ms: float | None = None
    wait_p95_ms: float | None = None

    @property
    def reconciled(self) -> bool:
        """The books say what the file says."""
        return (self.orders, self.revenue_pence) == (self.expected_orders, self.expected_pence)


@dataclass(slots=True)
class CategoryResult:
    """Runs of one category of tasks by state, and attempts beyond the first."""

    states: dict[str, int] = field(default_factory=dict[str, int])
    retries: int = 0


@dataclass(slots=True)
class TicksResult:
    """Ticks that were due by the crons, and runs they made. Both counted for each tenant."""

    schedules: int = 0
    due: int = 0
    ran: int = 0


@dataclass(slots=True)
class DemoResult:
    """Everything the demo found out."""

    tenants: dict[str, TenantResult] = field(default_factory=dict[str, TenantResult])
    categories: dict[str, CategoryResult] = field(default_factory=dict[str, CategoryResult])
    stream_ticks: TicksResult = field(default_factory=TicksResult)
    two_days_ticks: TicksResult = field(default_factory=TicksResult)
    killed: int = 0
    lost: int = 0
    seconds: float = 0.0
    peak_rss_mb: float = 0.0
    kept: list[str] = field(default_factory=list[str], repr=False)
    """Addresses, with passwords, of the databases that were kept."""

    @property
    def runs(self) -> dict[str, int]:
        """Runs by state."""
        total: dict[str, int] = {}
        for category in self.categories.values():
            for state, count in category.states.items():
                total[state] = total.get(state, 0) + count
        return total

    @property
    def retries(self) -> int:
        """Attempts beyond the first."""
        return sum(category.retries for category in self.categories.values())

    @property
    def revenue_pence(self) -> int:
        """What all books add up to."""
        return sum(tenant.revenue_pence for tenant in self.tenants.values())

    @property
    def reconciled(self) -> bool:
        """Every tenant's books are right, every tick ran, and nothing was lost."""
        ticks = (self.stream_ticks, self.two_days_ticks)
        return (
            self.lost == 0
            and all(tenant.reconciled for tenant in self.tenants.values())
            and all(found.due == found.ran for found in ticks)
        )

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "tenants": {
                slug: {
                    "orders": tenant.orders,
                    "revenue_pence": tenant.revenue_pence,
                    "expected_pence": tenant.expected_pence,
                    "runs": tenant.runs,
                    "wait_p50_ms": tenant.wait_p50_ms,
                    "wait_p95_ms": tenant.wait_p95_ms,
                }
                for slug, tenant in sorted(self.tenants.items())
            },
            "categories": {
                name: {"runs": category.states, "retries": category.retries}
                for name, category in sorted(self.categories.items())
            },
            "ticks": {
                name: {"schedules": found.schedules, "due": found.due, "ran": found.ran}
                for name, found in (("stream", self.stream_ticks), ("two_days", self.two_days_ticks))
            },
            "runs": self.runs,
            "retries": self.retries,
            "reconciled": self.reconciled,
            "revenue_pence": self.revenue_pence,
            "killed": self.killed,
            "lost": self.lost,
            "seconds": round(self.seconds, 2),
            "peak_rss_mb": round(self.peak_rss_mb, 1),
        }
