"""Wake-ups that are doubled, lost or late, and a vendor that can't be reached: no run is lost, and none runs twice."""

from __future__ import annotations

from collections import Counter

import pytest

from cgk_jobs import Jobs, Send
from cgk_jobs.providers import relay
from cgk_jobs.testing.conformance.provider.case import Ping, ProviderCase, Site

__all__ = ["WakingSuite"]

SECRET = "marker-of-a-customer-s-secret"  # noqa: S105 - what must not leave the database


async def known(jobs: Jobs) -> int:
    """How many wake-ups the ledger knows of, each counted for whatever may be said of it."""
    counts = await jobs.provider.store.count_wakeups()
    return sum(sum(count) for count in counts.values())


class WakingSuite(ProviderCase):
    """What a vendor may do wrong."""

    @pytest.fixture
    def vendor(self, site: Site) -> Site:
        """The installation, if there is a vendor in it."""
        if not self.needs_vendor:
            pytest.skip("declared: no vendor between the ledger and the worker")
        return site

    async def test_no_payload_leaves_the_database(self, vendor: Site) -> None:
        jobs = vendor.make_jobs()

        @jobs.task(on=Ping, id="secretive")
        async def secretive(event: Ping) -> str:
            return event.note

        async with self.working(vendor, jobs):
            now = await jobs.send(Ping(tenant_id="acme", note=SECRET), tags=[SECRET])
            later = await jobs.send(Ping(tenant_id="acme", note=SECRET), delay=1)
            assert (await self.ended(jobs, now.run_ids[0])).result == SECRET
            await self.ended(jobs, later.run_ids[0])
        seen = vendor.seen_by_vendor()
        if jobs.provider.capabilities.batch:
            assert "secretive" in seen or now.run_ids[0] in seen
        assert SECRET not in seen

    async def test_doubled_wake_ups_run_nothing_twice(self, vendor: Site) -> None:
        jobs = vendor.make_jobs()
        ran: Counter[int] = Counter()

        @jobs.task(on=Ping)
        async def note(event: Ping) -> None:
            ran[event.number] += 1

        async with self.working(vendor, jobs), vendor.doubling():
            await self.all_ended(jobs, await jobs.send_many([Ping(tenant_id="acme", number=n) for n in range(20)]))
        assert ran == dict.fromkeys(range(20), 1)

    async def test_lost_wake_ups_are_replaced(self, vendor: Site) -> None:
        jobs = vendor.make_jobs()
        ran: Counter[int] = Counter()

        @jobs.task(on=Ping)
        async def note(event: Ping) -> None:
            ran[event.number] += 1

        async with self.working(vendor, jobs), vendor.losing():
            answers = await jobs.send_many([Ping(tenant_id="acme", number=n) for n in range(5)])
            await self.all_ended(jobs, answers)
        assert ran == dict.fromkeys(range(5), 1)

    async def test_every_wake_up_leads_to_a_run_whichever_is_claimed_first(
        self, vendor: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A ring claims in fair order, so mostly another run than its own: none is refused for that, and none needs the sweep."""
        monkeypatch.setattr(relay, "OVERDUE_AFTER", 3_600.0)
        jobs = vendor.make_jobs()
        ran: Counter[int] = Counter()

        @jobs.task(on=Ping)
        async def note(event: Ping) -> None:
            ran[event.number] += 1

        async with self.working(vendor, jobs):
            pings = [Ping(tenant_id=f"t{number // 40}", number=number) for number in range(120)]
            await self.all_ended(jobs, await jobs.send_many(pings))
        assert ran == dict.fromkeys(range(120), 1)

    async def test_a_vendor_that_can_t_be_reached_stops_nothing(self, vendor: Site) -> None:
        jobs = vendor.make_jobs()
        ran: Counter[int] = Counter()

        @jobs.task(on=Ping)
        async def note(event: Ping) -> None:
            ran[event.number] += 1

        async with self.working(vendor, jobs):
            async with vendor.unreachable():
                answers = await jobs.send_many([Ping(tenant_id="acme", number=n) for n in range(5)])
                await self.all_ended(jobs, answers)
            after = await jobs.send(Ping(tenant_id="acme", number=5))
            await self.ended(jobs, after.run_ids[0])
        assert ran == dict.fromkeys(range(6), 1)

    async def test_what_is_cancelled_is_taken_back(self, vendor: Site) -> None:
        jobs = vendor.make_jobs()
        if not jobs.provider.capabilities.delay:
            pytest.skip("declared: the vendor holds nothing back, so there is nothing to take back")

        @jobs.task(on=Ping, id="note")
        async def note(event: Ping) -> None:
            raise AssertionError("it was cancelled")

        async with self.working(vendor, jobs):
            answers = await jobs.send_many([Send(Ping(tenant_id="acme", number=n), delay=3600) for n in range(3)])
            await self.until(vendor.pending_at_vendor, 3)
            assert await jobs.runs.cancel(task="note") == len(answers)
            await self.until(vendor.pending_at_vendor, 0)
            # The vendor has let go of them; the ledger forgets them once it has the answer.
            await self.until(lambda: known(jobs), 0)
