"""A ring claims in fair order, so mostly another run than its own, and that one's wake-up is then for the run that is left."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.providers.qstash.harness import MOUNT
from tests.providers.qstash.test_conformance import Balancer, QStashSite

from cgk_jobs import Event, across_tenants
from cgk_jobs.testing.peers.loopback import Loopback
from cgk_jobs.testing.peers.qstash import QStashPeer


class Passed(Event, name="qstash.passed"):
    number: int


async def test_no_wake_up_is_refused_for_the_run_it_is_now_for(tmp_path: Path) -> None:
    balancer, done = Balancer(), Counter[int]()
    async with QStashPeer(patience=0.1) as peer, Loopback(balancer) as server:
        peer.faults.shuffled = True
        site = QStashSite(tmp_path, peer, balancer, server.url + MOUNT)
        jobs = site.make_jobs()

        @jobs.task(on=Passed)
        async def note(event: Passed) -> None:
            done[event.number] += 1

        async with site.serving(jobs):
            sent = await jobs.send_many([Passed(tenant_id=f"t{number // 40}", number=number) for number in range(120)])
            with across_tenants(reason="the ends are waited for"):
                for one in sent:
                    await jobs.runs.wait(one.run_ids[0], timeout=30)
            await peer.settled()
        assert done == dict.fromkeys(range(120), 1)
        assert peer.dead == {}
        site.close()
