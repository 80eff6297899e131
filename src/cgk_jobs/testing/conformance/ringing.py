"""Wake-ups that ring, that move to another provider, and those of relays at the same moment."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from cgk_jobs.engine.quotas import TenantQuotas
from cgk_jobs.engine.wakeups import ActiveProvider, Outstanding
from cgk_jobs.testing.clock import TestClock
from cgk_jobs.testing.conformance.case import Driver, StoreCase
from cgk_jobs.testing.conformance.waking import DEMAND, handed, issued, obsolete, runs, seqs

__all__ = ["RingingSuite"]


class RingingSuite(StoreCase):
    """``take_wakeups``, ``pass_on_wakeups``, ``active_provider``, ``activate``, ``list_wakeups``, ``drop_wakeups``."""

    # -- rings -------------------------------------------------------------------------------------------------------

    async def test_a_ring_is_answered_once(self, ledger: Driver) -> None:
        await ledger.send()
        (record,) = await handed(ledger)
        expected = {record.id: record._replace(reference=f"ref-{record.id}")}
        assert await ledger.store.take_wakeups([record.id, "wnobody", record.id]) == expected
        assert await ledger.store.take_wakeups([record.id]) == {}
        assert await ledger.store.take_wakeups([]) == {}

    async def test_one_whose_run_was_claimed_by_another_ring_is_passed_on(self, ledger: Driver) -> None:
        first, second = await ledger.send("a"), await ledger.send("b")
        records = {record.run_seq: record for record in await handed(ledger)}
        rung, other = records[second.run_seqs[0]], records[first.run_seqs[0]]
        (left,) = (await ledger.store.take_wakeups([rung.id])).values()
        (claim,) = await ledger.claim(1)
        assert claim.seq == first.run_seqs[0]
        await ledger.store.pass_on_wakeups([(left, claim.tenant_id, claim.seq)])
        assert await issued(ledger) == []
        taken = await ledger.store.take_wakeups([other.id])
        assert taken[other.id][:5] == (other.id, "b", second.run_seqs[0], second.nonce, "sync")
        (anew,) = await handed(ledger)
        (claim,) = await ledger.claim(1)
        # The run of the ring itself, or one that had none: there is nothing to pass on.
        await ledger.store.pass_on_wakeups([(taken[other.id], "b", claim.seq), (taken[other.id], "a", 1)])
        assert await ledger.store.list_wakeups("vendor", "", 10) == [anew._replace(reference=f"ref-{anew.id}")]
        assert await obsolete(ledger) == []

    async def test_one_is_not_passed_on_to_a_run_that_has_its_own(self, ledger: Driver) -> None:
        first, second = await ledger.send("a"), await ledger.send("b")
        records = {record.run_seq: record for record in await handed(ledger)}
        rung, other = records[second.run_seqs[0]], records[first.run_seqs[0]]
        (left,) = (await ledger.store.take_wakeups([rung.id])).values()
        (claim,) = await ledger.claim(1)
        (anew,) = await handed(ledger)
        assert anew.run_seq == second.run_seqs[0]
        await ledger.store.pass_on_wakeups([(left, claim.tenant_id, claim.seq)])
        assert await obsolete(ledger) == [other.id]
        assert set(await ledger.store.take_wakeups([anew.id])) == {anew.id}

    # -- providers ---------------------------------------------------------------------------------------------------

    async def test_who_wakes_runs_is_changed_by_whoever_knows_the_present_state(self, ledger: Driver) -> None:
        store = ledger.store
        first = await store.active_provider("vendor")
        assert (first.name, first.draining) == ("vendor", ())
        assert await store.active_provider("another") == first
        assert await store.activate("other", ("vendor",), first.version + 1) is None
        assert await store.activate("other", ("vendor",), 0) is None
        assert await store.active_provider("x") == first
        second = await store.activate("other", ("vendor",), first.version)
        assert second == ActiveProvider("other", ("vendor",), first.version + 1)
        assert await store.activate("third", (), first.version) is None
        assert await store.active_provider("x") == second

    async def test_the_first_provider_may_be_said_before_anybody_asks(self, ledger: Driver) -> None:
        said = await ledger.store.activate("other", ("vendor",), 0)
        assert said is not None
        assert await ledger.store.active_provider("x") == said

    async def test_runs_at_the_former_provider_get_one_at_the_new(self, ledger: Driver) -> None:
        active = await ledger.store.active_provider("vendor")
        sent, late = await ledger.send(), await ledger.send(delay=60)
        former = await handed(ledger)
        # A provider that is not the active one takes over nothing of its.
        assert await issued(ledger, provider="other") == []
        await ledger.store.activate("other", ("vendor",), active.version)
        records = await handed(ledger, provider="other")
        assert seqs(records) == runs(sent, late)
        assert sorted(await obsolete(ledger)) == sorted(record.id for record in former)
        assert await obsolete(ledger, "other") == []
        assert await ledger.store.count_wakeups() == {
            "vendor": Outstanding(obsolete=2),
            "other": Outstanding(handed=2, overdue=1),
        }
        assert await issued(ledger, provider="other") == []

    async def test_all_of_a_provider_are_listed_by_id(self, ledger: Driver) -> None:
        for _ in range(5):
            await ledger.send()
        records = sorted(record._replace(reference=f"ref-{record.id}") for record in await handed(ledger))
        found = await ledger.store.list_wakeups("vendor", "", 3)
        assert found + await ledger.store.list_wakeups("vendor", found[-1].id, 3) == records
        assert await ledger.store.list_wakeups("other", "", 3) == []

    # -- tenants, and relays at the same moment ----------------------------------------------------------------------

    async def test_a_purge_takes_a_tenants_wakeups(self, ledger: Driver) -> None:
        await ledger.send("acme")
        await ledger.send("globex")
        records = {record.tenant_id: record for record in await handed(ledger)}
        await ledger.store.put_quotas(TenantQuotas("acme", closed=True))
        while await ledger.store.purge("acme", 10):
            continue
        await ledger.store.forget_tenant("acme")
        assert await ledger.store.take_wakeups([records["acme"].id]) == {}
        assert set(await ledger.store.take_wakeups([records["globex"].id])) == {records["globex"].id}

    @pytest.mark.parametrize("overdue", [False, True])
    async def test_relays_at_the_same_moment_share_the_work(
        self, ledger: Driver, tmp_path: Path, clock: TestClock, overdue: bool
    ) -> None:
        other = self.make_store(tmp_path, clock)
        sent = [await ledger.send(f"t{number % 7}", delay=60 * (number % 2) or None) for number in range(60)]
        if overdue:
            await handed(ledger)
            clock.advance(100)
        demand = replace(DEMAND, most=9)
        answers = await asyncio.gather(
            *(store.issue_wakeups(demand) for _ in range(6) for store in (ledger.store, other))
        )
        found = [record for answer in answers for record in answer]
        while more := await ledger.store.issue_wakeups(demand):
            found += more
        assert sorted(seqs(found)) == sorted(runs(*sent))
        assert len({record.id for record in found}) == len(sent)
        other.close()
