"""What a tenant has: counted, given out, purged."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from cgk_jobs.engine.quotas import TenantQuotas
from cgk_jobs.engine.records import LogLine, NewEvent, TenantRecord
from cgk_jobs.errors import TenantClosed
from cgk_jobs.testing.conformance.case import SECOND, Driver, StoreCase, subscription

__all__ = ["TenantDataSuite"]

HOUR = 3_600 * SECOND


async def purged(ledger: Driver, tenant_id: str, count: int = 3) -> None:
    """Purge a tenant in small parts."""
    await ledger.store.put_quotas(TenantQuotas(tenant_id, closed=True))
    while await ledger.store.purge(tenant_id, count):
        continue
    await ledger.store.forget_tenant(tenant_id)


async def exported(ledger: Driver, tenant_id: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of an export by kind."""
    found: dict[str, list[dict[str, Any]]] = {}
    async for portion in ledger.store.reads.export(tenant_id):
        for kind, row in portion:
            found.setdefault(kind, []).append(row)
    return found


class TenantDataSuite(StoreCase):
    """``purge``, ``forget_tenant``, and the read side's ``usage`` and ``export``."""

    # -- usage and export --------------------------------------------------------------------------------------------

    async def test_usage_counts_everything_of_one_tenant(self, ledger: Driver) -> None:
        await ledger.listen(subscription("mail"))
        start = ledger.clock.micros() // HOUR * HOUR
        await ledger.send(payload='{"x":12}')
        await ledger.send(name="nobody")
        await ledger.send("globex")
        claims = [claim for claim in await ledger.claim() if claim.tenant_id == "acme"]
        lines = (LogLine(1, "INFO", "naïve"),)
        await ledger.settle(claims[0], result='"done"', log=lines)
        ledger.clock.advance(3_600)
        await ledger.settle(claims[1], "failed", error="no", outcome="failed")
        waiting = ledger.clock.micros()
        await ledger.send()
        ledger.clock.advance(60)
        found = await ledger.store.reads.usage("acme", since=start, every=HOUR)
        assert found.states == {"completed": 1, "failed": 1, "queued": 2}
        assert (found.attempts, found.payload_bytes, found.result_bytes, found.log_bytes) == (2, 20, 6, 6)
        assert found.oldest_waiting == waiting
        assert {at - start: (one.sends, one.finished) for at, one in found.periods.items()} == {
            0: (2, {"completed": 1}),
            HOUR: (1, {"failed": 1}),
        }
        later = await ledger.store.reads.usage("acme", since=start + HOUR, every=HOUR)
        assert list(later.periods) == [start + HOUR]

    async def test_an_export_has_every_row_of_one_tenant(self, ledger: Driver) -> None:
        await ledger.store.put_tenant(TenantRecord("acme", added=True, timezone="Europe/Berlin"))
        await ledger.store.put_quotas(TenantQuotas("acme", queued_hard=1_000))
        await ledger.store.put_tenant(TenantRecord("acme-2", added=True))
        for tenant_id in ("acme", "acme-2"):
            await ledger.send(tenant_id, tags="vip", key="k", key_until=ledger.clock.micros() + HOUR)
            await ledger.send(tenant_id, name="nobody")
            for claim in await ledger.claim():
                await ledger.store.record_step(claim, "fetch", '"r"')
                await ledger.settle(claim, "failed", error="no", outcome="failed", log=(LogLine(1, "INFO", "line"),))
        await ledger.store.insert([NewEvent("acme", "placed", 1, '{"n":1}')] * 600)
        found = await exported(ledger, "acme")
        assert len(found["run"]) == 601
        assert {
            kind: len(found[kind]) for kind in ("step", "attempt", "log", "tag", "event", "key", "settings", "quotas")
        } == dict.fromkeys(("step", "attempt", "log", "tag", "event", "key", "settings", "quotas"), 1)
        assert {row.get("tenant_id", "acme") for kind, rows in found.items() if kind != "header" for row in rows} == {
            "acme"
        }
        assert found["settings"][0]["timezone"] == "Europe/Berlin"
        assert {row["payload"] for row in found["run"]} == {"{}", '{"n":1}'}

    async def test_an_export_shows_one_moment(self, ledger: Driver) -> None:
        await ledger.store.insert([NewEvent("acme", "placed", 1, "{}")] * 1_200)
        rows = ledger.store.reads.export("acme")
        seen: Counter[str] = Counter()
        async for portion in rows:
            seen.update(one.kind for one in portion)
            if seen["run"]:
                break
        for claim in await ledger.claim(1_200):
            await ledger.settle(claim)
        await ledger.send()
        await ledger.send(name="nobody")
        async for portion in rows:
            seen.update(one.kind for one in portion)
        assert (seen["run"], seen["event"]) == (1_200, 0)

    # -- purge -------------------------------------------------------------------------------------------------------

    async def test_a_purge_leaves_nothing_of_a_tenant_and_everything_of_others(self, ledger: Driver) -> None:
        for tenant_id in ("acme", "globex"):
            await ledger.send(tenant_id, tags="vip", key="k", key_until=ledger.clock.micros() + HOUR)
            await ledger.send(tenant_id, name="nobody")
            await ledger.send(tenant_id, delay=100)
        for claim in await ledger.claim():
            await ledger.store.record_step(claim, "fetch", '"r"')
            await ledger.settle(claim, "failed", error="no", outcome="failed", log=(LogLine(1, "INFO", "line"),))
        before = await self._rows_of(ledger, "globex")
        await purged(ledger, "acme")
        assert {kind for kind, rows in (await exported(ledger, "acme")).items() if rows} == {"header"}
        assert await ledger.counts("acme") == {}
        assert [tenant.id for tenant in await ledger.store.reads.tenants()] == ["globex"]
        assert await self._rows_of(ledger, "globex") == before
        await purged(ledger, "acme")
        await purged(ledger, "never-was")
        sent = await ledger.send(key="k", key_until=ledger.clock.micros() + HOUR)
        assert not sent.duplicate
        assert len(await ledger.claim()) == 1

    async def _rows_of(self, ledger: Driver, tenant_id: str) -> dict[str, list[dict[str, Any]]]:
        # Clocks are published by the way.
        return {kind: rows for kind, rows in (await exported(ledger, tenant_id)).items() if "clocks" not in kind}

    async def test_nothing_is_taken_from_a_tenant_while_it_is_purged(self, ledger: Driver) -> None:
        before = await ledger.store.schedule("sync", "UTC", "0 * * * *")
        await ledger.send()
        (claim,) = await ledger.claim()
        await ledger.store.put_quotas(TenantQuotas("acme", closed=True))
        until = ledger.clock.micros() + HOUR
        for event in (
            NewEvent("acme", "placed", 1, "{}"),
            NewEvent("acme", "nobody", 1, "{}"),
            NewEvent("acme", "placed", 1, "{}", due_at=until),
            NewEvent("acme", "placed", 1, "{}", key="k", key_until=until),
        ):
            with pytest.raises(TenantClosed, match="being purged"):
                await ledger.store.insert([event])
        tick = before.last_at + SECOND
        ticks = [NewEvent(one, "tick", 1, "{}", "sync", tick_at=tick) for one in ("acme", "globex")]
        assert await ledger.store.fire(before, before._replace(last_at=tick), ticks) is not None
        assert await ledger.counts() == {"running": 1, "queued": 1}
        while await ledger.store.purge("acme", 10):
            continue
        # An attempt that goes on writes nothing any more.
        assert not await ledger.settle(claim)
        assert not await ledger.store.record_step(claim, "late", "1")
        assert not await ledger.store.append_log(claim, [LogLine(1, "INFO", "late")])
        with pytest.raises(TenantClosed):
            await ledger.send()
        await ledger.store.forget_tenant("acme")
        await ledger.send()
        assert await ledger.counts("acme") == {"queued": 1}

    async def test_a_tick_half_fired_up_to_a_purged_tenant_goes_on(self, ledger: Driver) -> None:
        before = await ledger.store.schedule("sync", "UTC", "0 * * * *")
        tick = before.last_at + SECOND
        half = before._replace(tick_at=tick, after_tenant="b")
        events = [NewEvent(one, "tick", 1, "{}", "sync", tick_at=tick) for one in ("a", "b")]
        assert await ledger.store.fire(before, half, events) is not None
        await purged(ledger, "b")
        row = await ledger.store.schedule("sync", "UTC", "0 * * * *")
        assert (row.tick_at, row.after_tenant) == (tick, "a")
