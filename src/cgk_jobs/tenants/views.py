"""What ``jobs.tenants`` answers: frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cgk_jobs.clock import from_micros
from cgk_jobs.engine.quotas import Counter, TenantQuotas, Use, uses
from cgk_jobs.engine.records import TenantRecord
from cgk_jobs.engine.states import FINAL, State
from cgk_jobs.engine.usage import UsageRecord
from cgk_jobs.tasks.policy import Rate

__all__ = ["Exported", "Purged", "QuotaUse", "TenantView", "Usage", "UsagePeriod", "usage_view", "view_of"]


@dataclass(frozen=True, slots=True)
class TenantView:
    """A tenant. ``weight``: its share against others; ``concurrency`` and ``rate`` hold over all its tasks."""

    id: str
    added: bool
    timezone: str | None
    weight: float
    concurrency: int | None
    rate: Rate | None
    paused: bool
    since: datetime


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """A quota and how full it is. ``name``: as in ``jobs.tenants.limit``; ``seconds``: the window of a quota of sends."""

    name: str
    used: int
    soft: int | None
    hard: int | None
    seconds: float | None

    @property
    def share(self) -> float:
        """How much of the quota is used, of the hard one where there is one: 1 is all of it."""
        return self.used / (self.hard or self.soft or 1)

    @property
    def level(self) -> str:
        """``ok``; ``warned``: the soft quota is reached; ``full``: the hard one is."""
        if self.hard is not None and self.used >= self.hard:
            return "full"
        return "warned" if self.soft is not None and self.used >= self.soft else "ok"


@dataclass(frozen=True, slots=True)
class UsagePeriod:
    """Events sent and runs finished, by state, in the hour or day (UTC) that begins at ``start``."""

    start: datetime
    sends: int
    finished: dict[State, int]


@dataclass(frozen=True, slots=True)
class Usage:
    """What the ledger keeps of a tenant, and what of its quotas it has used.

    ``attempts``: those begun, as their runs number them. ``payload_bytes``, ``result_bytes``, ``log_bytes``: the text kept.
    ``oldest_waiting``: how long ago the oldest run was sent that is ready or parked. ``periods``: newest last, without those
    in which nothing happened. ``limits``: the tenant's settings. ``refused_ticks``: ticks of schedules that a hard quota
    has refused since it was set.
    """

    tenant_id: str
    states: dict[State, int]
    attempts: int
    payload_bytes: int
    result_bytes: int
    log_bytes: int
    oldest_waiting: timedelta | None
    periods: tuple[UsagePeriod, ...]
    limits: TenantView
    quotas: tuple[QuotaUse, ...]
    refused_ticks: int

    @property
    def unfinished(self) -> int:
        """Runs that have not ended."""
        return sum(count for state, count in self.states.items() if state not in FINAL)


@dataclass(frozen=True, slots=True)
class Exported:
    """How many rows of each kind an export has, and its size in bytes."""

    tenant_id: str
    rows: dict[str, int]
    bytes: int


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge did: rows deleted by table. ``abandoned``: runs whose attempt had not ended when they were deleted."""

    tenant_id: str
    rows: dict[str, int]
    abandoned: int


def view_of(record: TenantRecord) -> TenantView:
    """A tenant's settings for people."""
    rate = None if record.rate is None else Rate(record.rate, seconds=record.rate_seconds or 1.0, per="tenant")
    return TenantView(
        record.id, record.added, record.timezone, record.weight, record.concurrency, rate, record.paused,
        from_micros(record.created_at),
    )  # fmt: skip


def usage_view(record: TenantRecord, found: UsageRecord, quotas: TenantQuotas, counter: Counter, now: int) -> Usage:
    """What the ledger counted, for people. ``now``: microseconds."""
    oldest = None if found.oldest_waiting is None else timedelta(microseconds=max(now - found.oldest_waiting, 0))
    return Usage(
        tenant_id=record.id,
        states=found.states,
        attempts=found.attempts,
        payload_bytes=found.payload_bytes,
        result_bytes=found.result_bytes,
        log_bytes=found.log_bytes,
        oldest_waiting=oldest,
        periods=tuple(
            [
                UsagePeriod(from_micros(period.start), period.sends, period.finished)
                for _, period in sorted(found.periods.items())
            ]
        ),
        limits=view_of(record),
        quotas=tuple([quota_use(use) for use in uses(quotas, counter, now)]),
        refused_ticks=counter.refused_ticks,
    )


def quota_use(use: Use) -> QuotaUse:
    """A quota for people."""
    return QuotaUse(*use)
