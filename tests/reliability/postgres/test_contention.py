"""Finish, cancel, prune, retry and rescue in parallel on the same rows (S16)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from tests.reliability.application import Quick
from tests.reliability.postgres.contention import everything_at_once
from tests.reliability.postgres.processes import ServerFleet, until_async

from cgk_jobs.clock import SystemClock
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.engine.records import Appetite, Claim, Settlement


def test_s16_no_deadlock_is_seen_by_anybody(fleet: ServerFleet) -> None:
    tally = everything_at_once(fleet, runs=200, rounds=15)
    # Each of them did meet work.
    for act in ("send", "cancel_one", "cancel_all", "retry", "prune", "rescue"):
        assert tally.done[act] > 0, tally.done


async def test_s16_who_takes_many_rows_takes_them_in_one_order(fleet: ServerFleet) -> None:
    """Whatever the order asked for: two that lock the same rows never wait in a circle, not even to be done again."""
    count, writers, rounds = 100, 5, 10
    await fleet.jobs.send_many([Quick(tenant_id=f"tenant-{number % 3}", number=number) for number in range(count)])
    store = fleet.jobs.provider.store
    seat = await store.take_seat(("default",), count, 600.0)
    claims = (await store.exchange(seat.id, [], Appetite(("default",), count, {"quick": None}))).claims
    assert len(claims) == count
    stores = [PostgresStore(fleet.database.worker_url, SystemClock()) for _ in range(writers)]

    async def cancel(writer: PostgresStore, chance: random.Random) -> None:
        for _ in range(rounds):
            assert await writer.cancel([claim.key for claim in _shuffled(claims, chance)]) == count

    # They run, so that all a cancel does is to ask: the rows stay for the next one.
    await asyncio.gather(*(cancel(writer, random.Random(number)) for number, writer in enumerate(stores)))
    # The same rows at once: settled one way and another, cancelled, and taken back from their worker.
    chance = random.Random(16)
    plain = [Settlement(claim, "completed", 1) for claim in _shuffled(claims, chance)]
    failed = [Settlement(claim, "failed", 1, outcome="failed") for claim in _shuffled(claims, chance)]
    await asyncio.gather(
        stores[0].exchange(seat.id, plain, None),
        stores[1].exchange(seat.id, failed, None),
        *(writer.cancel([claim.key for claim in _shuffled(claims, chance)]) for writer in stores[2:]),
        seat.leave(),
    )
    for writer in stores:
        writer.close()
    fleet.jobs.close()
    # A session says what it counted at its end.
    await until_async(lambda: fleet.others() == 0)
    assert fleet.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0
    assert fleet.unfinished() + fleet.value("SELECT count(*) FROM cgk_jobs.finished_runs") == count
    assert fleet.intact()


def _shuffled(claims: Sequence[Claim], chance: random.Random) -> list[Claim]:
    return chance.sample(claims, len(claims))
