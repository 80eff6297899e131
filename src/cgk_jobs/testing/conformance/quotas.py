"""Quotas: what is refused, what is counted, whom it concerns; and a tenant's usage, export and purge."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from cgk_jobs.engine.quotas import Crossing, TenantQuotas
from cgk_jobs.engine.records import LogLine, NewEvent, RunKey, ScheduleRecord, Settlement, TenantRecord
from cgk_jobs.errors import QuotaExceeded, TenantClosed
from cgk_jobs.testing.conformance.case import SECOND, Driver, StoreCase, subscription

__all__ = ["QuotasSuite", "purged"]

HOUR = 3_600 * SECOND


async def used(ledger: Driver, tenant_id: str = "acme") -> tuple[int, int]:
    """Runs and bytes as they are counted."""
    _, counter = await ledger.store.reads.quotas(tenant_id)
    return counter.runs, counter.payload_bytes


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


class QuotasSuite(StoreCase):
    """``put_quotas``, ``purge``, and the read side's ``quotas``, ``usage``, ``export``."""

    # -- runs and bytes ----------------------------------------------------------------------------------------------

    async def test_beyond_its_hard_quota_nothing_is_stored_of_a_tenant(self, ledger: Driver) -> None:
        await ledger.store.put_quotas(TenantQuotas("acme", queued_hard=2))
        await ledger.send()
        with pytest.raises(QuotaExceeded, match="acme has 1 runs that have not ended, its quota is 2") as refusal:
            await ledger.store.insert(
                [NewEvent("globex", "placed", 1, "{}"), *[NewEvent("acme", "placed", 1, "{}")] * 2]
            )
        assert (refusal.value.tenant_id, refusal.value.quota, refusal.value.used, refusal.value.hard) == (
            "acme", "queued", 1, 2,
        )  # fmt: skip
        assert await ledger.counts() == {"queued": 1}
        await ledger.send()
        with pytest.raises(QuotaExceeded):
            await ledger.send(delay=10)
        with pytest.raises(QuotaExceeded):
            await ledger.send(tags="a", key="k", key_until=ledger.clock.micros() + HOUR)
        await ledger.send("globex", key="k", key_until=ledger.clock.micros() + HOUR)
        assert await ledger.counts() == {"queued": 3}
        assert await used(ledger) == (2, 4)

    async def test_every_end_of_a_run_gives_its_room_back(self, ledger: Driver) -> None:
        store = ledger.store
        await store.put_quotas(TenantQuotas("acme", queued_hard=7))
        payload = '{"name":"naïve"}'
        for _ in range(4):
            await ledger.send(payload=payload)
        claims = await ledger.claim()
        late, expiring = await ledger.send(payload=payload, delay=10), await ledger.send(payload=payload, expires=5)
        assert await used(ledger) == (6, 6 * 17)
        await ledger.look(
            0, settlements=[Settlement(claims[0], "completed", 1), Settlement(claims[1], "failed", 1, outcome="failed")]
        )
        await ledger.settle(claims[2], "retrying", attempt=2, due_at=ledger.clock.micros() + HOUR)
        assert await used(ledger) == (4, 4 * 17)
        assert await store.cancel([RunKey("acme", late.run_seqs[0]), claims[3].key]) == 2
        await ledger.settle(claims[3], "cancelled")
        assert await used(ledger) == (2, 2 * 17)
        ledger.clock.advance(5)
        assert await store.expire() == 1
        assert await ledger.state(expiring) == "expired"
        assert await used(ledger) == (1, 17)
        assert await store.retry(claims[1].key, "default", 0)
        assert await used(ledger) == (2, 2 * 17)

    async def test_a_run_taken_back_from_a_dead_worker_ends_cancelled_and_gives_its_room_back(
        self, ledger: Driver
    ) -> None:
        await ledger.store.put_quotas(TenantQuotas("acme", queued_hard=2))
        seat = await ledger.store.take_seat(("default",), 10, 15.0)
        await ledger.send()
        await ledger.send()
        first, _ = await ledger.claim(seat=seat)
        await ledger.store.cancel([first.key])
        await self.bury(ledger.store, seat)
        ledger.clock.advance(60)
        assert await ledger.store.rescue(15.0) == 2
        assert await used(ledger) == (1, 2)

    async def test_a_quota_counts_what_there_is_already(self, ledger: Driver) -> None:
        done, _ = await ledger.send(), await ledger.send(payload='{"x":1}')
        (claim, _) = await ledger.claim()
        assert claim.seq == done.run_seqs[0]
        await ledger.settle(claim)
        await ledger.store.put_quotas(TenantQuotas("acme", queued_hard=1))
        assert await used(ledger) == (1, 7)
        with pytest.raises(QuotaExceeded):
            await ledger.send()
        await ledger.store.put_quotas(TenantQuotas("acme", queued_hard=2))
        await ledger.send()
        await ledger.store.put_quotas(TenantQuotas("acme"))
        assert await ledger.store.reads.quotas("acme") == (
            TenantQuotas("acme"),
            (await ledger.store.reads.quotas("x"))[1]._replace(tenant_id="acme"),
        )
        for _ in range(3):
            await ledger.send()

    async def test_bytes_of_payloads_are_limited(self, ledger: Driver) -> None:
        await ledger.listen(subscription("mail"))
        await ledger.store.put_quotas(TenantQuotas("acme", bytes_hard=100))
        await ledger.send(payload=json.dumps("x" * 38))
        with pytest.raises(QuotaExceeded, match="80 bytes"):
            await ledger.send(payload=json.dumps("x" * 9))
        await ledger.send(payload=json.dumps("x" * 8))
        assert await used(ledger) == (4, 100)

    async def test_a_duplicate_costs_nothing(self, ledger: Driver) -> None:
        await ledger.store.put_quotas(TenantQuotas("acme", queued_hard=1))
        until = ledger.clock.micros() + HOUR
        first = await ledger.send(key="k", key_until=until)
        assert await ledger.send(key="k", key_until=until) == first._replace(duplicate=True)
        assert await used(ledger) == (1, 2)

    async def test_a_tenant_over_its_quota_keeps_nobody_else_from_sending(self, ledger: Driver) -> None:
        await ledger.store.put_quotas(TenantQuotas("acme", queued_hard=3))
        sends = [ledger.send("acme" if number % 2 else f"t{number}") for number in range(40)]
        answers = await asyncio.gather(*sends, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, QuotaExceeded)]
        assert (len(refused), len(answers) - len(refused)) == (17, 23)
        assert await ledger.counts("acme") == {"queued": 3}

    # -- sends -------------------------------------------------------------------------------------------------------

    async def test_sends_are_limited_in_a_window(self, ledger: Driver) -> None:
        await ledger.listen(subscription("mail"))
        await ledger.store.put_quotas(TenantQuotas("acme", sends_hard=4, sends_seconds=60.0))
        for name in ("placed", "nobody", "placed", "nobody"):
            await ledger.send(name=name)
        for _ in range(2):
            with pytest.raises(QuotaExceeded, match="4 sends in 60 s"):
                await ledger.send(name="nobody")
        ledger.clock.advance(120)
        for _ in range(4):
            await ledger.send()
        # Halfway through the next window half of the last one still counts.
        ledger.clock.advance(90 - ledger.clock.micros() / SECOND % 60)
        await ledger.send()
        await ledger.send()
        with pytest.raises(QuotaExceeded):
            await ledger.send()

    # -- warnings ----------------------------------------------------------------------------------------------------

    async def test_a_soft_quota_is_told_of_once_for_each_crossing(self, ledger: Driver) -> None:
        told: list[Crossing] = []
        stop = ledger.store.watch_quotas(told.append)
        await ledger.store.put_quotas(TenantQuotas("acme", queued_soft=10, queued_hard=12))
        for _ in range(10):
            await ledger.send()
        assert [(one.tenant_id, *one.use) for one in told] == [("acme", "queued", 10, 10, 12, None)]
        await ledger.send()
        claims = await ledger.claim()
        await ledger.settle(claims[0])
        await ledger.settle(claims[1])
        for _ in range(2):
            await ledger.send()
        assert len(told) == 1, "it has not gone back far enough to be told of again"
        for claim in claims[2:5]:
            await ledger.settle(claim)
        for _ in range(2):
            await ledger.send()
        assert len(told) == 2
        stop()
        await ledger.store.put_quotas(TenantQuotas("acme", queued_soft=1))
        await ledger.send()
        assert len(told) == 2

    # -- ticks -------------------------------------------------------------------------------------------------------

    async def test_a_tick_beyond_the_quota_is_refused_for_that_tenant_alone(self, ledger: Driver) -> None:
        before = await ledger.store.schedule("sync", "UTC", "0 * * * *")
        await ledger.store.put_quotas(TenantQuotas("b", queued_hard=1))
        await ledger.send("b")
        first = await self._fire(ledger, before, before.last_at + SECOND, ["a", "b", "c"])
        assert await ledger.counts() == {"queued": 3}
        _, counter = await ledger.store.reads.quotas("b")
        assert (counter.runs, counter.refused_ticks) == (1, 1)
        for claim in await ledger.claim():
            await ledger.settle(claim)
        await self._fire(ledger, first, first.last_at + SECOND, ["a", "b", "c"])
        assert await ledger.counts("b") == {"completed": 1, "queued": 1}

    async def _fire(self, ledger: Driver, before: ScheduleRecord, tick: int, tenants: Sequence[str]) -> ScheduleRecord:
        events = [NewEvent(one, "tick", 1, "{}", "sync", tick_at=tick) for one in tenants]
        after = before._replace(last_at=tick)
        assert await ledger.store.fire(before, after, events) is not None
        return after

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
        await self._fire(ledger, before, before.last_at + SECOND, ["acme", "globex"])
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
