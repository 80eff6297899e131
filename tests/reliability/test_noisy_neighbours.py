"""One tenant floods, another sends now and then (S37). What is compared is the order of starts, never a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.reliability.neighbours import CONCURRENCY, Neighbours, Work
from tests.servers.postgres import LedgerDatabase


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh ledger's, on either engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs.db'}"
    database: LedgerDatabase = request.getfixturevalue("postgres_database")
    return database.worker_url


@pytest.fixture
async def neighbours(url: str) -> AsyncIterator[Neighbours]:
    neighbours = Neighbours(url)
    yield neighbours
    await neighbours.jobs.stop(grace=0)
    neighbours.jobs.close()


async def test_s37_a_flood_delays_a_quiet_tenant_by_a_claim_or_two(neighbours: Neighbours) -> None:
    await neighbours.flood("loud", 2500)
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
    await neighbours.flood("loud", 1000)
    await neighbours.flood("late", 1000)
    begun = await neighbours.work(800)
    share = weight / (weight + 1)
    for until in range(200, 801, 200):
        assert abs(begun[:until].count("loud") / until - share) <= 0.05


async def test_s37_what_nobody_else_needs_is_not_left_idle(neighbours: Neighbours) -> None:
    await neighbours.jobs.tenants.limit("quiet", weight=100.0)
    await neighbours.flood("loud", 400)
    assert await neighbours.work(400) == ["loud"] * 400
    assert neighbours.most == CONCURRENCY


async def test_s37_a_tenant_that_was_idle_has_saved_nothing_up(neighbours: Neighbours) -> None:
    await neighbours.flood("loud", 800)
    await neighbours.work(300)
    await neighbours.jobs.stop()
    before = len(neighbours.begun)
    await neighbours.flood("late", 400)
    await neighbours.work(before + 400)
    assert abs(neighbours.begun[before : before + 400].count("late") / 400 - 0.5) <= 0.05
