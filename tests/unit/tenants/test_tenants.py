"""``jobs.tenants``: quotas, usage, export and purge from an application's side."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cgk_jobs import (
    Context,
    Event,
    InvalidEvent,
    Jobs,
    Quota,
    QuotaExceeded,
    Rate,
    Send,
    TenantClosed,
    TenantMismatch,
    Tick,
    tenant_context,
)
from cgk_jobs.engine.quotas import TenantQuotas
from cgk_jobs.signals import QUOTA_REACHED, Signal
from cgk_jobs.testing.clock import TestClock


class Placed(Event, name="tenants_test.placed"):
    text: str = ""


class Shop:
    """An application with a task and a schedule, and what its signals told."""

    def __init__(self, folder: Path) -> None:
        self.clock = TestClock()
        self.jobs = Jobs(database=folder / "jobs.db", clock=self.clock)
        self.told: list[Signal] = []
        self.entered = asyncio.Event()
        self.let_go = asyncio.Event()
        self.jobs.signals.listen(self.told.append)

        @self.jobs.task(on=Placed)
        async def sync(event: Placed, ctx: Context) -> str:
            if event.text == "hang":
                self.entered.set()
                await self.let_go.wait()
            return event.text

        @self.jobs.cron("0 * * * *", tenants="seen", id="hourly")
        async def hourly(tick: Tick) -> None: ...

    async def send(self, tenant_id: str = "acme", text: str = "") -> Any:
        return await self.jobs.send(Placed(tenant_id=tenant_id, text=text))


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    shop.let_go.set()
    await shop.jobs.stop(grace=0)
    shop.jobs.close()


async def test_a_limit_that_is_left_out_stays_and_none_lifts_it(shop: Shop) -> None:
    tenants = shop.jobs.tenants
    await tenants.limit("acme", weight=2, concurrency=3, rate=Rate(4, seconds=5), queued=Quota(hard=6))
    await tenants.limit("acme", sends=Quota(soft=7, hard=8, seconds=9))
    found = await tenants.usage("acme")
    limits = found.limits
    assert (limits.weight, limits.concurrency, limits.rate and limits.rate.n) == (2, 3, 4)
    assert [(one.name, one.soft, one.hard, one.seconds) for one in found.quotas] == [
        ("queued", None, 6, None), ("sends", 7, 8, 9.0),
    ]  # fmt: skip
    await tenants.limit("acme", concurrency=None, rate=None, weight=None, queued=None)
    found = await tenants.usage("acme")
    assert (found.limits.weight, found.limits.concurrency, found.limits.rate) == (1, None, None)
    assert [one.name for one in found.quotas] == ["sends"]
    await tenants.limit("acme", unlimited=True)
    assert (await tenants.usage("acme")).quotas == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queued": Quota(hard=1, seconds=1)}, "leave seconds= out"),
        ({"payload_bytes": Quota(hard=1, seconds=1)}, "leave seconds= out"),
        ({"sends": Quota(hard=1)}, "seconds=60"),
        ({"concurrency": 0}, "pause it"),
        ({"weight": 0}, "share"),
    ],
)
async def test_limits_that_cannot_work_change_nothing(shop: Shop, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidEvent, match=message):
        await shop.jobs.tenants.limit("acme", **options)
    assert await shop.jobs.tenants.list() == []


async def test_a_soft_quota_is_a_signal_and_a_line_in_the_log(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    await shop.jobs.tenants.limit("acme", queued=Quota(soft=2, hard=4))
    with caplog.at_level(logging.WARNING, "cgk_jobs.tenants"):
        for _ in range(4):
            await shop.send()
    (signal,) = [one for one in shop.told if one.name == QUOTA_REACHED]
    assert (signal.tenant_id, signal.fields) == ("acme", {"quota": "queued", "used": 2, "soft": 2, "hard": 4})
    assert [record.getMessage() for record in caplog.records] == [
        "tenant acme has reached its soft quota of queued: 2 of 2; at 4 sends are refused"
    ]
    (use,) = (await shop.jobs.tenants.usage("acme")).quotas
    assert (use.used, use.share, use.level) == (4, 1.0, "full")


async def test_a_count_gone_wrong_is_put_right(shop: Shop, tmp_path: Path) -> None:
    await shop.jobs.tenants.limit("acme", queued=Quota(hard=5))
    await shop.send()
    with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as connection:
        connection.execute("UPDATE quota_counters SET runs = 5")
    with pytest.raises(QuotaExceeded):
        await shop.send()
    shop.clock.advance(3_601)
    await shop.jobs.provider.store.expire()
    await shop.send()
    (use,) = (await shop.jobs.tenants.usage("acme")).quotas
    assert use.used == 2


async def test_a_batch_stores_what_fits_and_says_what_does_not(shop: Shop) -> None:
    await shop.jobs.tenants.limit("acme", queued=Quota(hard=5))
    events: list[Event | Send] = [
        Placed(tenant_id="acme" if number % 2 else "globex", text=str(number)) for number in range(30)
    ]
    events[1] = Send(Placed(tenant_id="acme", text="1"), key="k")
    sent = await shop.jobs.send_many(events)
    assert [one.status for one in sent[::2]] == ["accepted"] * 15
    assert [one.status for one in sent[1::2]] == ["accepted"] * 5 + ["refused"] * 10
    assert "its quota is 5" in (sent[-1].error or "")
    assert (await shop.jobs.tenants.usage("acme")).states == {"queued": 5}
    # Sent again, what was stored under a key is not refused, as it costs nothing.
    again = await shop.jobs.send_many(events[1:4])
    assert [one.status for one in again] == ["duplicate", "accepted", "refused"]


async def test_a_schedule_triggered_for_all_leaves_out_who_is_full(shop: Shop) -> None:
    await shop.send("globex")
    await shop.jobs.tenants.limit("acme", queued=Quota(hard=1))
    await shop.send("acme")
    sent = await shop.jobs.schedules.trigger("hourly")
    assert [one.status for one in sent] == ["refused", "accepted"]
    with pytest.raises(QuotaExceeded):
        await shop.send("acme")


async def test_a_schedule_is_triggered_by_a_process_that_has_not_started(tmp_path: Path) -> None:
    jobs = Jobs(f"sqlite:///{tmp_path / 'other.db'}")

    @jobs.cron("0 * * * *", tenants="each", id="hourly")
    async def hourly(tick: Tick) -> None: ...

    (sent,) = await jobs.schedules.trigger("hourly", tenant_id="acme")
    assert sent.status == "accepted"
    with tenant_context("acme"):
        assert (await jobs.runs.get(sent.run_id)).task == "hourly"
    jobs.close()


async def test_refused_ticks_are_counted_for_the_tenant(shop: Shop) -> None:
    for tenant_id in ("acme", "globex"):
        await shop.send(tenant_id)
    await shop.jobs.tenants.limit("acme", queued=Quota(hard=1))
    await shop.jobs.start(queues=["nothing"])
    running = shop.jobs.running
    assert running is not None
    await running.fire_due()
    shop.clock.advance(3_600)
    await running.fire_due()
    assert (await shop.jobs.tenants.usage("acme")).refused_ticks == 1
    assert (await shop.jobs.tenants.usage("acme")).states == {"queued": 1}
    assert (await shop.jobs.tenants.usage("globex")).states == {"queued": 2}


async def test_usage_is_of_the_tenant_alone_and_by_periods(shop: Shop) -> None:
    await shop.send("globex", "xyz")
    await shop.send("acme", "xyz")
    shop.clock.advance(90)
    found = await shop.jobs.tenants.usage("acme", by="hour", periods=2)
    assert found.oldest_waiting is not None
    assert found.oldest_waiting.total_seconds() == 90
    assert [(one.sends, one.finished) for one in found.periods] == [(1, {})]
    with pytest.raises(InvalidEvent, match='by="hour"'):
        await shop.jobs.tenants.usage("acme", periods=0)
    with tenant_context("globex"), pytest.raises(TenantMismatch):
        await shop.jobs.tenants.usage("acme")


# -- export ------------------------------------------------------------------------------------------------------------


async def test_an_export_is_lines_with_a_header_and_an_end(shop: Shop, tmp_path: Path) -> None:
    sent = await shop.send("acme", "héllo")
    await shop.send("globex", "secret")
    path = tmp_path / "out" / "acme.jsonl"
    path.parent.mkdir()
    exported = await shop.jobs.tenants.export("acme", path)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    head, end = lines[0], lines[-1]
    assert (head["kind"], head["format"], head["tenant_id"], head["engine"]) == ("header", 1, "acme", "sqlite")
    assert head["exported_at"] == shop.clock.now().isoformat()
    assert end == {"kind": "end", "rows": sum(exported.rows.values())}
    assert exported.bytes == path.stat().st_size
    assert path.stat().st_mode & 0o077 == 0
    (run,) = [line for line in lines if line["kind"] == "run"]
    assert run["id"] == sent.run_id
    assert json.loads(run["row"]["payload"]) == {"tenant_id": "acme", "text": "héllo"}
    assert "secret" not in path.read_text(encoding="utf-8")
    assert list(path.parent.iterdir()) == [path]


async def test_an_export_goes_into_any_open_file(shop: Shop) -> None:
    await shop.send("acme", "héllo")
    text, binary = io.StringIO(), io.BytesIO()
    await shop.jobs.tenants.export("acme", text)
    exported = await shop.jobs.tenants.export("acme", binary)
    assert text.getvalue().encode() == binary.getvalue()
    assert exported.bytes == len(binary.getvalue())


async def test_an_export_that_fails_leaves_the_old_file(shop: Shop, tmp_path: Path) -> None:
    path = tmp_path / "acme.jsonl"
    path.write_text("old")
    with tenant_context("globex"), pytest.raises(TenantMismatch):
        await shop.jobs.tenants.export("acme", path)
    with pytest.raises(InvalidEvent, match="platform"):
        await shop.jobs.tenants.export("platform", path)

    class Full(io.BytesIO):
        def write(self, data: Any, /) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        await shop.jobs.tenants.export("acme", Full())
    assert path.read_text() == "old"
    with pytest.raises(FileNotFoundError):
        await shop.jobs.tenants.export("acme", tmp_path / "missing" / "acme.jsonl")


# -- purge -------------------------------------------------------------------------------------------------------------


async def test_a_purge_has_to_be_confirmed(shop: Shop) -> None:
    await shop.send()
    for confirm in ("", "globex", "ACME"):
        with pytest.raises(InvalidEvent, match="confirm='acme'"):
            await shop.jobs.tenants.purge("acme", confirm=confirm)
    with pytest.raises(InvalidEvent, match="platform"):
        await shop.jobs.tenants.purge("platform", confirm="platform")
    with tenant_context("globex"), pytest.raises(TenantMismatch):
        await shop.jobs.tenants.purge("acme", confirm="acme")
    await shop.send()
    assert (await shop.jobs.tenants.usage("acme")).states == {"queued": 2}


async def test_purging_twice_or_an_unknown_tenant_does_nothing(shop: Shop) -> None:
    await shop.send()
    await shop.send("globex")
    purged = await shop.jobs.tenants.purge("acme", confirm="acme")
    assert (purged.rows["runs"], purged.abandoned) == (1, 0)
    for tenant_id in ("acme", "never-was"):
        assert (await shop.jobs.tenants.purge(tenant_id, confirm=tenant_id)).rows == {}
    assert [one.id for one in await shop.jobs.tenants.list()] == ["globex"]
    await shop.send()
    assert [one.id for one in await shop.jobs.tenants.list()] == ["acme", "globex"]


async def test_a_purge_asks_running_attempts_to_end_and_takes_nothing_meanwhile(shop: Shop) -> None:
    await shop.send("acme", "hang")
    await shop.jobs.start(concurrency=2)
    await shop.entered.wait()
    await shop.send("acme", "waits")
    purge = asyncio.create_task(shop.jobs.tenants.purge("acme", confirm="acme"))
    with pytest.raises(TenantClosed):
        await send_until(shop, purge)
    purged = await purge
    assert purged.abandoned == 0, "the attempt was cancelled, and ended"
    assert not shop.let_go.is_set()
    assert (await shop.jobs.tenants.usage("acme")).states == {}


async def send_until(shop: Shop, purge: asyncio.Task[Any]) -> None:
    while not purge.done():
        await shop.send("acme", "hang")
        await asyncio.sleep(0)


async def test_an_attempt_that_does_not_end_is_abandoned_and_writes_nothing(shop: Shop) -> None:
    went_on = asyncio.Event()

    class Stubborn(Event, name="tenants_test.stubborn"):
        pass

    @shop.jobs.task(on=Stubborn)
    async def stubborn(event: Stubborn, ctx: Context) -> str:
        shop.entered.set()
        while not shop.let_go.is_set():
            try:
                await shop.let_go.wait()
            except asyncio.CancelledError:
                continue
        went_on.set()
        return "late"

    await shop.jobs.send(Stubborn(tenant_id="acme"))
    await shop.jobs.start(concurrency=1)
    await shop.entered.wait()
    purged = await shop.jobs.tenants.purge("acme", confirm="acme", wait=0)
    assert (purged.abandoned, purged.rows["runs"]) == (1, 1)
    shop.let_go.set()
    await went_on.wait()
    following = await shop.send("globex", "next")
    with tenant_context("globex"):
        await shop.jobs.runs.wait(following.run_id)
    assert (await shop.jobs.tenants.usage("acme")).states == {}
    assert [one.id for one in await shop.jobs.tenants.list()] == ["globex"]


async def test_a_purge_interrupted_anywhere_is_ended_by_the_next(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    store = shop.jobs.provider.store
    for step in ("put_quotas", "put_tenant", "purge", "forget_tenant"):
        for _ in range(3):
            await shop.send()

        async def dies(*_: Any, **__: Any) -> None:
            raise OSError("the process died")

        with monkeypatch.context() as broken:
            broken.setattr(store, step, dies)
            with pytest.raises(OSError, match="died"):
                await shop.jobs.tenants.purge("acme", confirm="acme")
        if step != "put_quotas":
            with pytest.raises(TenantClosed, match="run it again"):
                await shop.send()
        await shop.jobs.tenants.purge("acme", confirm="acme")
        assert await shop.jobs.tenants.list() == []
        assert (await store.reads.quotas("acme"))[0] == TenantQuotas("acme")


async def test_the_blocking_face_has_them_too(shop: Shop, tmp_path: Path) -> None:
    def work() -> None:
        tenants = shop.jobs.sync.tenants
        tenants.limit("acme", queued=Quota(hard=1))
        shop.jobs.sync.send(Placed(tenant_id="acme"))
        with pytest.raises(QuotaExceeded):
            shop.jobs.sync.send(Placed(tenant_id="acme"))
        assert tenants.export("acme", tmp_path / "x").rows["run"] == 1
        assert tenants.purge("acme", confirm="acme").rows["runs"] == 1

    await asyncio.to_thread(work)
