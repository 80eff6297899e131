"""One tenant fills its quota, sends in circles and floods its logs (S39): it alone is limited. Counts, never times."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.reliability.processes import until_async

from cgk_jobs import Context, Event, Jobs, Quota, QuotaExceeded, Retry

OTHERS = [f"tenant-{number:02}" for number in range(20)]
EACH = 15
GREEDY = "greedy"
CONCURRENCY = 4


class Work(Event, name="greedy.work"):
    number: int = 0


class Circle(Event, name="greedy.circle"):
    """Sends itself twice."""


class Crowd:
    """Tenants of one worker, and what each of them began, ended and was refused."""

    def __init__(self, folder: Path) -> None:
        self.jobs = Jobs(database=folder / "jobs.db")
        self.begun: list[str] = []
        self.ended: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

        @self.jobs.task(on=Work)
        async def work(event: Work, ctx: Context) -> None:
            self.begun.append(event.tenant_id)
            ctx.log.info("at work on %d", event.number)
            self.ended[event.tenant_id] += 1

        @self.jobs.task(on=Circle, retry=Retry(max_attempts=1))
        async def circle(event: Circle, ctx: Context) -> None:
            self.begun.append(event.tenant_id)
            for number in range(2_000):
                ctx.log.info("flooding %d", number)
            for _ in range(2):
                try:
                    await ctx.send(Circle(tenant_id=event.tenant_id))
                except QuotaExceeded:
                    self.refused[event.tenant_id] += 1
            self.ended[event.tenant_id] += 1

    async def send(self, tenant_id: str, number: int) -> None:
        try:
            await self.jobs.send(Work(tenant_id=tenant_id, number=number))
        except QuotaExceeded:
            self.refused[tenant_id] += 1


@pytest.fixture
async def crowd(tmp_path: Path) -> AsyncIterator[Crowd]:
    crowd = Crowd(tmp_path)
    yield crowd
    await crowd.jobs.stop(grace=0)
    crowd.jobs.close()


async def test_s39_a_greedy_tenant_limits_itself_alone(crowd: Crowd) -> None:
    jobs = crowd.jobs
    await jobs.tenants.limit(GREEDY, queued=Quota(soft=80, hard=100), payload_bytes=Quota(hard=1_000_000))
    for _ in range(30):
        await jobs.send(Circle(tenant_id=GREEDY))
    for number in range(EACH):
        # In one turn of the loop: what is refused of one must not be done again for the others.
        sends = [crowd.send(tenant_id, number) for tenant_id in OTHERS]
        sends += [crowd.send(GREEDY, number) for _ in range(50)]
        await asyncio.gather(*sends)
        assert (await jobs.tenants.usage(GREEDY)).unfinished <= 100
    # What waits when work begins decides, not how fast this machine sends: what nobody else needs is the greedy one's too.
    await jobs.start(concurrency=CONCURRENCY)
    wanted = len(OTHERS) * EACH
    await until_async(lambda: sum(crowd.ended[tenant_id] for tenant_id in OTHERS) == wanted)
    last = max(place for place, tenant_id in enumerate(crowd.begun) if tenant_id != GREEDY)
    assert crowd.refused.keys() == {GREEDY}
    assert crowd.refused[GREEDY] > 500
    # Alone the others would have had every start; with one tenant more, all but its fair share.
    share = sum(tenant_id != GREEDY for tenant_id in crowd.begun[: last + 1]) / (last + 1)
    assert share >= 0.95 * len(OTHERS) / (len(OTHERS) + 1)
