"""Budgets of field values are forgotten while others count in them: no limit and no rate is ever exceeded by that."""

from __future__ import annotations

import asyncio
from collections import Counter

import psycopg
from tests.servers.postgres import LedgerDatabase

from cgk_jobs.engine.postgres.idle_limits import IdleLimits
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.engine.records import Appetite, Budgets, Claim, NewEvent, Settlement, Subscription
from cgk_jobs.tasks.policy import Limit, Rate
from cgk_jobs.testing.clock import TestClock
from cgk_jobs.wire.json import dumps

SHOPS = 3
RUNS = 120
AT_MOST = 7
"""Starts of a shop; the clock stands still, so all of them are within one window."""


async def test_forgetting_while_others_start(postgres_database: LedgerDatabase) -> None:
    clock = TestClock()
    stores = [PostgresStore(postgres_database.worker_url, clock) for _ in range(3)]
    await stores[0].subscribe(
        [Subscription(task, task, "default", 0, 0, None, "") for task in ("slots", "starts")],
    )
    tasks: dict[str, Budgets | None] = {
        "slots": Budgets((Limit(1, per="shop"),), ()),
        "starts": Budgets((), (Rate(AT_MOST, seconds=60, per="shop"),)),
    }

    async def send(store: PostgresStore) -> None:
        news = [NewEvent("acme", name, 1, dumps({"shop": shop})) for name in tasks for shop in range(SHOPS)]
        await store.insert(news)

    # Few at a time, so that budgets are idle again and again.
    await send(stores[0])
    await send(stores[0])
    at_work: Counter[str] = Counter()
    started: Counter[str] = Counter()
    most = done = 0

    async def work(store: PostgresStore) -> None:
        nonlocal most, done
        seat = await store.take_seat(("default",), 100, 15.0)
        mine: list[Claim] = []
        while done < RUNS:
            claims = (await store.exchange(seat.id, [], Appetite(("default",), 2, tasks))).claims
            for claim in claims:
                (at_work if claim.task == "slots" else started)[claim.payload] += 1
            most = max([most, *at_work.values()])
            # A round later, and before the ledger hears of it: whoever is let go then is not counted beside them.
            at_work.subtract(claim.payload for claim in mine if claim.task == "slots")
            if mine:
                await store.exchange(seat.id, [Settlement(claim, "completed", 1) for claim in mine], None)
            elif not claims:
                await send(store)
            done += len(mine)
            mine = claims
        at_work.subtract(claim.payload for claim in mine if claim.task == "slots")
        await store.exchange(seat.id, [Settlement(claim, "completed", 1) for claim in mine], None)

    async def forget() -> None:
        idle = IdleLimits(stores[2]._database)
        while done < RUNS:
            await idle.forget()

    async with asyncio.timeout(60):
        await asyncio.gather(work(stores[0]), work(stores[1]), forget())
    assert (most, set(started.values())) == (1, {AT_MOST})
    clock.advance(120)
    await stores[2].expire()
    with psycopg.connect(postgres_database.admin_url) as connection:
        parked = connection.execute("SELECT count(*) FROM cgk_jobs.limits WHERE NOT parked").fetchone()
    assert parked == (0,), "what nobody draws on is gone; the rates have runs that wait"
    for store in stores:
        store.close()
