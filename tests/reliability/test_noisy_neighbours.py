"""One tenant floods, another sends now and then (S37). What is compared is the order of starts, never a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.reliability.processes import until_async

from cgk_jobs import Event, Jobs, across_tenants

CONCURRENCY = 4


class Work(Event, name="neighbours.work"):
    number: int = 0


class Neighbours:
    """A worker and the order in which it begins runs."""

    def __init__(self, folder: Path) -> None:
        self.jobs = Jobs(database=folder / "jobs.db")
        self.begun: list[str] = []
        self.running = 0
        self.most = 0
        self.on_start: dict[int, Work] = {}
        self.sent_at: dict[int, int] = {}
        self.begun_at: dict[int, int] = {}

        @self.jobs.task(on=Work)
        async def work(event: Work) -> None:
            position = len(self.begun)
            self.begun.append(event.tenant_id)
            self.running += 1
            self.most = max(self.most, self.running)
            if event.tenant_id == "quiet":
                self.begun_at[event.number] = position
            due = self.on_start.get(position)
            if due is not None:
                with across_tenants(reason="the quiet tenant's own process would send it"):
                    await self.jobs.send(due)
                self.sent_at[due.number] = len(self.begun)
            await asyncio.sleep(0)
            self.running -= 1

    async def flood(self, tenant_id: str, count: int) -> None:
        """Send many at once."""
        await self.jobs.send_many([Work(tenant_id=tenant_id, number=number) for number in range(count)])

    async def work(self, count: int) -> list[str]:
        """Begin to work; the tenants of the first ``count`` runs, in the order of their starts."""
        await self.jobs.start(concurrency=CONCURRENCY)
        await until_async(lambda: len(self.begun) >= count)
        return self.begun[:count]


@pytest.fixture
async def neighbours(tmp_path: Path) -> AsyncIterator[Neighbours]:
    neighbours = Neighbours(tmp_path)
    yield neighbours
    await neighbours.jobs.stop(grace=0)
    neighbours.jobs.close()


async def test_s37_a_flood_delays_a_quiet_tenant_by_a_claim_or_two(neighbours: Neighbours) -> None:
    await neighbours.flood("loud", 3000)
    for number in range(20):
        # After every hundredth start of the flood the quiet tenant sends one.
        neighbours.on_start[50 + 100 * number] = Work(tenant_id="quiet", number=number)
    await neighbours.work(2200)
    assert len(neighbours.begun_at) == 20
    # What had been claimed already goes first, and one claim more may be under way; the flood's thousands never.
    waited = [neighbours.begun_at[number] - neighbours.sent_at[number] for number in range(20)]
    assert max(waited) <= 3 * CONCURRENCY


@pytest.mark.parametrize("weight", [1.0, 3.0])
async def test_s37_two_floods_share_by_weight(neighbours: Neighbours, weight: float) -> None:
    await neighbours.jobs.tenants.limit("loud", weight=weight)
    # Sent one after the other: who is first has no advantage.
    await neighbours.flood("loud", 1500)
    await neighbours.flood("late", 1500)
    begun = await neighbours.work(1200)
    share = weight / (weight + 1)
    for until in range(200, 1201, 200):
        assert abs(begun[:until].count("loud") / until - share) <= 0.05


async def test_s37_what_nobody_else_needs_is_not_left_idle(neighbours: Neighbours) -> None:
    await neighbours.jobs.tenants.limit("quiet", weight=100.0)
    await neighbours.flood("loud", 600)
    assert await neighbours.work(600) == ["loud"] * 600
    assert neighbours.most == CONCURRENCY


async def test_s37_a_tenant_that_was_idle_has_saved_nothing_up(neighbours: Neighbours) -> None:
    await neighbours.flood("loud", 1000)
    await neighbours.work(500)
    await neighbours.jobs.stop()
    before = len(neighbours.begun)
    await neighbours.flood("late", 400)
    await neighbours.work(before + 400)
    assert abs(neighbours.begun[before : before + 400].count("late") / 400 - 0.5) <= 0.05
