"""``jobs.tenants``: what operators look at and change."""

from __future__ import annotations

import builtins
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from enum import Enum
from os import PathLike
from pathlib import Path
from typing import IO, Any, Literal

from cgk_jobs import signals
from cgk_jobs.clock import Clock, from_micros
from cgk_jobs.engine.quotas import Crossing, Quota, TenantQuotas
from cgk_jobs.engine.records import TenantRecord
from cgk_jobs.engine.scheduler import ActiveTenant
from cgk_jobs.engine.store import Store
from cgk_jobs.errors import InvalidEvent
from cgk_jobs.signals import Signals
from cgk_jobs.tasks.policy import Rate
from cgk_jobs.tasks.schedule import Cron
from cgk_jobs.tenancy.context import require_same_tenant
from cgk_jobs.tenancy.ids import PLATFORM, parse_tenant_id
from cgk_jobs.tenants.exporting import write_export, write_file
from cgk_jobs.tenants.purging import purge
from cgk_jobs.tenants.views import Exported, Purged, TenantView, Usage, usage_view, view_of

__all__ = ["UNCHANGED", "TenantSource", "Tenants"]

_logger = logging.getLogger("cgk_jobs.tenants")

TenantSource = Callable[
    [], "Iterable[str | tuple[str, str | None]] | Awaitable[Iterable[str | tuple[str, str | None]]]"
]
"""The application's own list of tenants: ids, or pairs of id and time zone."""

DEFAULT_PURGE_WAIT = 30.0
_MICROS: dict[str, int] = {"hour": 3_600_000_000, "day": 86_400_000_000}


class _Unchanged(Enum):
    UNCHANGED = "unchanged"


UNCHANGED: Literal[_Unchanged.UNCHANGED] = _Unchanged.UNCHANGED
"""What ``limit`` is not told stays as it is; ``None`` lifts it."""
_Kept = Literal[_Unchanged.UNCHANGED]


class Tenants:
    """The tenants an installation has."""

    def __init__(self, store: Store, clock: Clock, emitter: Signals | None = None) -> None:
        self._store = store
        self._clock = clock
        self._emitter = emitter
        self.source: TenantSource | None = None
        store.watch_quotas(self._reached)

    async def _find(self, tenant_id: str) -> TenantRecord | None:
        parse_tenant_id(tenant_id)
        require_same_tenant(tenant_id)
        for record in await self._store.reads.tenants():
            if record.id == tenant_id:
                return record
        return None

    async def _record(self, tenant_id: str) -> TenantRecord:
        record = await self._find(tenant_id)
        return record or TenantRecord(tenant_id, added=False, created_at=self._clock.micros())

    # -- who there is ------------------------------------------------------------------------------------------------

    async def add(self, tenant_id: str, *, timezone: str | None = None, weight: float | None = None) -> None:
        """Add a tenant to those that ``tenants="each"`` means; again to change it. ``timezone``: for its schedules.

        Raises ``InvalidEvent`` for a bad id, ``InvalidSchedule`` for an unknown zone.
        """
        if timezone is not None:
            Cron("0 0 * * *", timezone)
        record = await self._record(tenant_id)
        record = record._replace(added=True)
        if timezone is not None:
            record = record._replace(timezone=timezone)
        if weight is not None:
            record = record._replace(weight=_checked_weight(weight))
        await self._store.put_tenant(record)

    async def remove(self, tenant_id: str) -> None:
        """Take a tenant out of those that ``tenants="each"`` means. Its runs and settings stay."""
        await self._store.put_tenant((await self._record(tenant_id))._replace(added=False))

    async def list(self) -> builtins.list[TenantView]:
        """Every tenant added, seen, or named by the application's own list."""
        records = {record.id: record for record in await self._store.reads.tenants() if record.id != PLATFORM}
        for tenant in await self._from_source():
            known = records.get(tenant.id, TenantRecord(tenant.id, added=True, created_at=self._clock.micros()))
            records[tenant.id] = known._replace(added=True, timezone=tenant.timezone or known.timezone)
        return [view_of(record) for _, record in sorted(records.items())]

    async def active(self, seen: bool) -> builtins.list[ActiveTenant]:
        """The tenants schedules run for: added ones and those of the application's list; ``seen``: whoever ever sent."""
        found = {
            record.id: ActiveTenant(record.id, record.timezone)
            for record in await self._store.reads.tenants()
            if (record.added or seen) and record.id != PLATFORM
        }
        for tenant in await self._from_source():
            known = found.get(tenant.id)
            found[tenant.id] = ActiveTenant(tenant.id, tenant.timezone or (known.timezone if known else None))
        return [*found.values()]

    async def _from_source(self) -> builtins.list[ActiveTenant]:
        if self.source is None:
            return []
        answer = self.source()
        items = await answer if inspect.isawaitable(answer) else answer
        found: builtins.list[ActiveTenant] = []
        for item in items:
            tenant_id, timezone = (item, None) if isinstance(item, str) else item
            found.append(ActiveTenant(parse_tenant_id(tenant_id), timezone))
        return found

    # -- what each may use -------------------------------------------------------------------------------------------

    async def limit(
        self,
        tenant_id: str,
        *,
        weight: float | _Kept | None = UNCHANGED,
        concurrency: int | _Kept | None = UNCHANGED,
        rate: Rate | _Kept | None = UNCHANGED,
        queued: Quota | _Kept | None = UNCHANGED,
        payload_bytes: Quota | _Kept | None = UNCHANGED,
        sends: Quota | _Kept | None = UNCHANGED,
        unlimited: bool = False,
    ) -> None:
        """Change a tenant's share, its limits over all its tasks, or its quotas, at once, in every process.

        ``None`` lifts one (a share becomes 1 again); what is left out stays; ``unlimited`` lifts all limits and quotas first.
        Quotas: ``queued``: runs that have not ended; ``payload_bytes``: bytes of their payloads; ``sends``: events in a
        window, ``Quota(soft=…, hard=…, seconds=…)``. Beyond a hard quota sends raise ``QuotaExceeded``; a soft one is told
        of by the signal ``quota.reached`` and in the log. Raises ``InvalidEvent`` for values that can't work.
        """
        if isinstance(concurrency, int) and concurrency < 1:
            raise InvalidEvent("concurrency is at least 1; to stop a tenant, pause it")
        _check_quotas(queued, payload_bytes, sends)
        record = await self._record(tenant_id)
        if unlimited:
            record = record._replace(concurrency=None, rate=None, rate_seconds=None)
        if weight is not UNCHANGED:
            record = record._replace(weight=1.0 if weight is None else _checked_weight(weight))
        if concurrency is not UNCHANGED:
            record = record._replace(concurrency=concurrency)
        if rate is None:
            record = record._replace(rate=None, rate_seconds=None)
        elif isinstance(rate, Rate):
            record = record._replace(rate=rate.n, rate_seconds=rate.seconds)
        before, _ = await self._store.reads.quotas(tenant_id)
        quotas = TenantQuotas(tenant_id, closed=before.closed) if unlimited else before
        if queued is not UNCHANGED:
            soft, hard, _ = _parts(queued)
            quotas = quotas._replace(queued_soft=soft, queued_hard=hard)
        if payload_bytes is not UNCHANGED:
            soft, hard, _ = _parts(payload_bytes)
            quotas = quotas._replace(bytes_soft=soft, bytes_hard=hard)
        if sends is not UNCHANGED:
            soft, hard, seconds = _parts(sends)
            quotas = quotas._replace(sends_soft=soft, sends_hard=hard, sends_seconds=seconds)
        await self._store.put_tenant(record)
        if quotas != before:
            await self._store.put_quotas(quotas)

    async def pause(self, tenant_id: str) -> None:
        """Start no more runs of a tenant. Running ones end; sends are stored."""
        await self._store.put_tenant((await self._record(tenant_id))._replace(paused=True))

    async def resume(self, tenant_id: str) -> None:
        """Start a tenant's runs again."""
        await self._store.put_tenant((await self._record(tenant_id))._replace(paused=False))

    def _reached(self, crossing: Crossing) -> None:
        use = crossing.use
        _logger.warning(
            "tenant %s has reached its soft quota of %s: %d of %d%s",
            crossing.tenant_id, use.name, use.used, use.soft, "" if use.hard is None else f"; at {use.hard} sends are refused",
            extra={"tenant_id": crossing.tenant_id},
        )  # fmt: skip
        if self._emitter is not None:
            self._emitter.emit(
                signals.QUOTA_REACHED, crossing.tenant_id, quota=use.name, used=use.used, soft=use.soft, hard=use.hard
            )

    # -- what each has -----------------------------------------------------------------------------------------------

    async def usage(self, tenant_id: str, *, by: Literal["hour", "day"] = "day", periods: int = 7) -> Usage:
        """What a tenant uses: its runs, the bytes they keep, its quotas; sends and finishes in the last ``periods``, by
        hour or day (UTC), as far back as finished runs are kept. Reads every run of the tenant.

        Raises ``InvalidEvent`` for another period than these, or none.
        """
        if by not in _MICROS or not 1 <= periods <= 1_000:
            raise InvalidEvent(f'usage(by={by!r}, periods={periods}): by="hour" or by="day", and 1 to 1,000 periods')
        record = await self._record(tenant_id)
        every, now = _MICROS[by], self._clock.micros()
        since = now - now % every - (periods - 1) * every
        found = await self._store.reads.usage(tenant_id, since=since, every=every)
        return usage_view(record, found, *await self._store.reads.quotas(tenant_id), now)

    async def export(self, tenant_id: str, to: str | PathLike[str] | IO[Any]) -> Exported:
        """Write every row of a tenant, as of one moment, as JSON lines: to a path, or to a file that is open.

        A file at a path is replaced once the export is whole. Rows are read and written in portions.
        """
        parse_tenant_id(tenant_id)
        require_same_tenant(tenant_id)
        exported_at = from_micros(self._clock.micros()).isoformat()
        rows = self._store.reads.export(tenant_id)
        if isinstance(to, str | PathLike):
            return await write_file(Path(to), tenant_id, exported_at, rows)
        return await write_export(to, tenant_id, exported_at, rows)

    async def purge(self, tenant_id: str, *, confirm: str, wait: float = DEFAULT_PURGE_WAIT) -> Purged:
        """Delete everything of a tenant from the ledger, its settings too. It can't be undone; ``confirm``: its id again.

        Meanwhile nothing is taken from it (sends raise ``TenantClosed``) and nothing of it started. Running attempts are
        asked to end and get ``wait`` seconds. A purge that was interrupted is ended by another; purging twice, or a tenant
        that never was, does nothing. Take it out of the application's own list first, or its schedules make it anew.

        Raises ``InvalidEvent`` for another ``confirm`` and for ``platform``, ``ProviderUnavailable`` if the ledger can't
        be freed of what was deleted.
        """
        record = await self._find(tenant_id)
        if confirm != tenant_id:
            raise InvalidEvent(
                f"purge({tenant_id!r}, confirm={confirm!r}): everything of the tenant will be deleted; confirm it by its id, "
                f"confirm={tenant_id!r}"
            )
        purged = await purge(
            self._store,
            record or TenantRecord(tenant_id, added=False, created_at=self._clock.micros()),
            record is not None,
            wait,
        )
        _logger.warning(
            "tenant %s is purged: %d rows", tenant_id, sum(purged.rows.values()), extra={"tenant_id": PLATFORM}
        )
        return purged


def _checked_weight(weight: float) -> float:
    if not 0.001 <= weight <= 1_000:
        raise InvalidEvent(f"weight={weight}: a share from 0.001 to 1,000; 1 is the default")
    return weight


def _parts(quota: Quota | None) -> tuple[int | None, int | None, float | None]:
    return (None, None, None) if quota is None else (quota.soft, quota.hard, quota.seconds)


def _check_quotas(
    queued: Quota | _Kept | None, payload_bytes: Quota | _Kept | None, sends: Quota | _Kept | None
) -> None:
    for name, quota in (("queued", queued), ("payload_bytes", payload_bytes)):
        if isinstance(quota, Quota) and quota.seconds is not None:
            raise InvalidEvent(f"{name} counts what there is at a moment: leave seconds= out of its Quota")
    if isinstance(sends, Quota) and sends.seconds is None:
        raise InvalidEvent("a quota of sends counts those of a window: Quota(hard=1_000, seconds=60)")
