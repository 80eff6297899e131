"""Sending: what is stored, for whom, and only once."""

from __future__ import annotations

import asyncio

import pytest

from cgk_jobs.engine.reads import RunFilter
from cgk_jobs.engine.records import NewEvent
from cgk_jobs.errors import DuplicateKey, InvalidTask, JobsError
from cgk_jobs.testing.conformance.case import SECOND, Driver, StoreCase, subscription

__all__ = ["SendingSuite"]


class SendingSuite(StoreCase):
    """``insert`` and ``subscribe``."""

    async def test_an_event_makes_a_run_for_each_listener(self, ledger: Driver) -> None:
        await ledger.listen(subscription("mail", tags="slow"), subscription("other", "cancelled"))
        stored = await ledger.send("acme", payload='{"order":1}', tags="vip")
        assert len(stored.run_seqs) == 2
        runs = await ledger.store.reads.runs(RunFilter("acme"), before=None, count=10)
        assert {run.task: run.tags for run in runs} == {"sync": "vip", "mail": "slow,vip"}
        assert {(run.state, run.event_name, run.payload, run.event_seq, run.attempt) for run in runs} == {
            ("queued", "placed", '{"order":1}', stored.event_seq, 1)
        }

    async def test_a_task_can_be_sent_to_alone(self, ledger: Driver) -> None:
        await ledger.listen(subscription("mail"))
        stored = await ledger.send(task="mail")
        assert [(await ledger.run(stored)).task] == ["mail"]
        assert await ledger.counts() == {"queued": 1}
        with pytest.raises(InvalidTask, match="nobody"):
            await ledger.send(task="nobody")

    async def test_an_event_without_listener_is_kept_without_a_run(self, ledger: Driver) -> None:
        stored = await ledger.send(name="unheard")
        assert stored.run_seqs == ()
        assert stored.event_seq > 0
        assert await ledger.counts() == {}

    async def test_numbers_rise_in_the_order_of_sending(self, ledger: Driver) -> None:
        first = await ledger.send()
        second = await ledger.send()
        ledger.clock.advance(7_200)
        third = await ledger.send()
        assert first.event_seq < first.run_seqs[0] < second.event_seq < second.run_seqs[0] < third.event_seq

    async def test_numbers_rise_although_the_clock_steps_back(self, ledger: Driver) -> None:
        if not self.numbers_in_one_place:
            pytest.skip("declared: many machines number events, and ask nobody but the clock")
        first = await ledger.send()
        ledger.clock.advance(-3_600)
        second = await ledger.send()
        ledger.clock.advance(7_200)
        third = await ledger.send()
        assert first.event_seq < first.run_seqs[0] < second.event_seq < second.run_seqs[0] < third.event_seq

    async def test_a_key_is_per_tenant_and_event_and_has_its_time(self, ledger: Driver) -> None:
        await ledger.listen(subscription("other", "cancelled"))
        until = ledger.clock.micros() + 60 * SECOND
        first = await ledger.send(key="k", key_until=until)
        assert await ledger.send(key="k", key_until=until) == first._replace(duplicate=True)
        with pytest.raises(DuplicateKey, match="another payload"):
            await ledger.send(payload='{"x":1}', key="k", key_until=until)
        assert not (await ledger.send("globex", payload='{"x":1}', key="k", key_until=until)).duplicate
        assert not (await ledger.send(name="cancelled", key="k", key_until=until)).duplicate
        assert not (await ledger.send(key="k2", key_until=until)).duplicate
        assert await ledger.counts() == {"queued": 4}
        ledger.clock.advance(60)
        assert not (await ledger.send(payload='{"x":1}', key="k", key_until=until + 60 * SECOND)).duplicate

    async def test_a_batch_is_stored_whole_or_not_at_all(self, ledger: Driver) -> None:
        until = ledger.clock.micros() + 60 * SECOND
        await ledger.send(key="k", key_until=until)
        batch = [NewEvent("acme", "placed", 1, "{}"), NewEvent("acme", "placed", 1, "[]", key="k", key_until=until)]
        with pytest.raises(DuplicateKey):
            await ledger.store.insert(batch)
        assert await ledger.counts() == {"queued": 1}
        assert len(await ledger.store.insert(batch[:1] * 3)) == 3
        assert await ledger.counts() == {"queued": 4}

    async def test_one_key_twice_in_a_batch_is_one_event(self, ledger: Driver) -> None:
        event = NewEvent("acme", "placed", 1, "{}", key="k", key_until=ledger.clock.micros() + SECOND)
        first, second = await ledger.store.insert([event, event])
        assert second == first._replace(duplicate=True)
        assert await ledger.counts() == {"queued": 1}

    async def test_what_is_refused_fails_alone(self, ledger: Driver) -> None:
        until = ledger.clock.micros() + SECOND
        answers = await asyncio.gather(
            *[ledger.send(payload=payload, key="k", key_until=until) for payload in ("1", "2", "1")],
            ledger.send("Not A Tenant"),
            ledger.send("globex"),
            return_exceptions=True,
        )
        kinds = [type(answer).__name__ if isinstance(answer, Exception) else "stored" for answer in answers]
        assert kinds[:2] + kinds[2:3] == ["stored", "DuplicateKey", "stored"]
        assert isinstance(answers[3], JobsError)
        assert kinds[4] == "stored"
        assert await ledger.counts() == {"queued": 2}

    @pytest.mark.parametrize("tenant_id", ["", "A", "a b", "-a", "a" * 64, "a;b"])
    async def test_no_row_without_a_valid_tenant(self, ledger: Driver, tenant_id: str) -> None:
        for name in ("placed", "unheard"):
            with pytest.raises(JobsError):
                await ledger.send(tenant_id, name=name)
        assert await ledger.counts() == {}

    async def test_a_delay_is_kept_and_then_the_run_is_ready(self, ledger: Driver) -> None:
        late, soon = await ledger.send(delay=60), await ledger.send(delay=30)
        past = await ledger.send(delay=-5)
        assert [await ledger.state(one) for one in (late, soon, past)] == ["scheduled", "scheduled", "queued"]
        exchange = await ledger.look()
        assert [claim.seq for claim in exchange.claims] == [past.run_seqs[0]]
        assert exchange.next_due == ledger.clock.micros() + 30 * SECOND
        ledger.clock.advance(29.999999)
        assert await ledger.claim() == []
        ledger.clock.advance(0.000001)
        assert [claim.seq for claim in await ledger.claim()] == [soon.run_seqs[0]]
        assert (await ledger.run(soon)).due_at is None
        ledger.clock.advance(30)
        assert [claim.seq for claim in await ledger.claim()] == [late.run_seqs[0]]

    async def test_an_earlier_moment_sent_later_is_noticed(self, ledger: Driver) -> None:
        await ledger.send(delay=60)
        await ledger.look()
        await ledger.send(delay=10)
        assert (await ledger.look()).next_due == ledger.clock.micros() + 10 * SECOND

    async def test_subscriptions_can_change(self, ledger: Driver) -> None:
        await ledger.store.subscribe([subscription("sync", "renamed", lane=7, queue="slow", expires=5.0, tags="t")])
        assert (await ledger.send()).run_seqs == ()
        run = await ledger.run(await ledger.send(name="renamed"))
        assert (run.lane, run.queue, run.tags) == (7, "slow", "t")
        assert run.expires_at == ledger.clock.micros() + 5 * SECOND
        assert [row.task for row in await ledger.store.reads.subscriptions()] == ["sync"]
