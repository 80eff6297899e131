"""Reading: filters, pages, and that another tenant's run is not there."""

from __future__ import annotations

from itertools import combinations

from cgk_jobs.engine.reads import RunFilter
from cgk_jobs.engine.records import TenantRecord
from cgk_jobs.testing.conformance.case import Driver, StoreCase, subscription

__all__ = ["ReadingSuite"]


class ReadingSuite(StoreCase):
    """``reads``."""

    async def test_a_run_of_another_tenant_is_not_there(self, ledger: Driver) -> None:
        stored = await ledger.send("acme")
        reads, seq, nonce = ledger.store.reads, stored.run_seqs[0], stored.nonce
        assert await reads.run("acme", seq, nonce) is not None
        assert await reads.run(None, seq, nonce) is not None
        assert await reads.run("globex", seq, nonce) is None
        assert await reads.run("acme", seq, nonce ^ 1) is None
        assert await reads.run("acme", seq + 1, nonce) is None

    async def test_only_what_has_not_ended(self, ledger: Driver) -> None:
        await ledger.failed(await ledger.send())
        waiting = await ledger.send(delay=60)
        runs = await ledger.store.reads.runs(RunFilter("acme", unfinished=True), before=None, count=10)
        assert [run.seq for run in runs] == [waiting.run_seqs[0]]

    async def test_filters(self, ledger: Driver) -> None:
        await ledger.listen(subscription("mail", "mailed", queue="slow", tags="post"))
        await ledger.send("acme", tags="vip")
        await ledger.send("acme", name="mailed")
        ledger.clock.advance(10)
        since = ledger.clock.micros()
        await ledger.send("globex", tags="vip")
        await ledger.send("acme", delay=60)
        await ledger.claim(1)

        async def found(**which: object) -> int:
            filled = RunFilter(**{"tenant_id": None, **which})  # type: ignore[arg-type]
            runs = await ledger.store.reads.runs(filled, before=None, count=100)
            assert sum((await ledger.store.reads.count(filled)).values()) == len(runs)
            return len(runs)

        assert await found() == 4
        assert await found(tenant_id="acme") == 3
        assert await found(task="mail") == await found(event="mailed") == await found(queue="slow") == 1
        assert await found(state="scheduled") == await found(state="running") == 1
        assert await found(state="queued") == 2
        assert await found(tag="vip") == 2
        assert await found(tag="vip", tenant_id="globex") == 1
        assert await found(tag="post") == 1
        assert await found(since=since) == 2
        assert await found(tenant_id="initech") == 0
        assert await found(since=since, state="scheduled") == await found(since=since, unfinished=True, tag="vip") == 1
        filters = {
            "tenant_id": "acme",
            "task": "mail",
            "event": "mailed",
            "queue": "slow",
            "tag": "vip",
            "since": since,
        }
        filters |= {"state": "queued", "unfinished": True}
        for first, second in combinations(filters, 2):
            both = await found(**{first: filters[first], second: filters[second]})
            assert both <= min(await found(**{first: filters[first]}), await found(**{second: filters[second]}))

    async def test_pages_are_newest_first_and_complete(self, ledger: Driver) -> None:
        sent = [(await ledger.send("acme")).run_seqs[0] for _ in range(7)]
        await ledger.send("globex")
        seen: list[int] = []
        before: int | None = None
        while page := await ledger.store.reads.runs(RunFilter("acme"), before=before, count=3):
            seen += [run.seq for run in page]
            before = page[-1].seq
        assert seen == sent[::-1]

    async def test_values_with_quotes_are_values(self, ledger: Driver) -> None:
        await ledger.send("acme", tags="it's")
        reads = ledger.store.reads
        assert len(await reads.runs(RunFilter("acme", tag="it's"), before=None, count=5)) == 1
        assert await reads.runs(RunFilter("x' OR '1'='1"), before=None, count=5) == []
        assert await reads.count(RunFilter(None, task="%")) == {}

    async def test_tenants_seen_and_added(self, ledger: Driver) -> None:
        await ledger.send("seen")
        record = TenantRecord("added", True, "Europe/Paris", 2.0, 3, 4, 5.0, False, ledger.clock.micros())
        await ledger.store.put_tenant(record)
        rows = {row.id: row for row in await ledger.store.reads.tenants()}
        assert rows["added"] == record
        assert (rows["seen"].added, rows["seen"].weight, rows["seen"].paused) == (False, 1.0, False)

    async def test_workers_are_listed(self, ledger: Driver) -> None:
        (worker,) = await ledger.store.reads.workers()
        assert (worker.id, worker.queues, worker.concurrency) == (ledger.seat.id, "default", 100)
        ledger.clock.advance(5)
        assert await ledger.store.beat(worker.id)
        (beaten,) = await ledger.store.reads.workers()
        assert beaten.beat_at - worker.beat_at == 5_000_000

    async def test_a_tally_counts_every_run(self, ledger: Driver) -> None:
        for tenant in ("a", "a", "b"):
            await ledger.send(tenant)
        await ledger.claim(1)
        rows = await ledger.store.reads.tally()
        assert sum(row.runs for row in rows) == 3
        assert {(row.tenant_id, row.task, row.event) for row in rows} == {
            ("a", "sync", "placed"),
            ("b", "sync", "placed"),
        }
