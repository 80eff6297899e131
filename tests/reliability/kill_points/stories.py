"""What the application's client does, told again from the beginning in every life: it sends with idempotency keys.

A client that was killed does not know what of it was stored, so it asks for all of it once more, as a program that starts
again would.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.reliability.kill_points.application import (
    BoxesOrdered,
    CampaignBegun,
    Late,
    Old,
    OrderFailed,
    OrderPaid,
    OrderPlaced,
    PageSeen,
    PayoutAsked,
    StockMoved,
)
from tests.reliability.kill_points.vendor import Vendor

from cgk_jobs import Event, Jobs, RunNotFound, Sent, tenant_context
from cgk_jobs.engine.reads import RunFilter
from cgk_jobs.engine.states import FINAL

__all__ = ["ALL", "PAYOUTS", "STORIES", "TICKS", "prepare", "tell"]

TENANT = "acme"
PAYOUTS = {1: 1_250, 2: 99, 3: 40_000}
"""Cents by number of payout."""
TICKS = 3
"""Ticks of the yearly schedule that were missed, for each tenant."""
_THREE_YEARS = 3 * 365 * 86_400_000_000


class Client:
    """Sends, and has every answer in the vendor's book: what was acknowledged must never be lost."""

    def __init__(self, jobs: Jobs, vendor: Vendor) -> None:
        self.jobs = jobs
        self._vendor = vendor

    async def send(self, event: Event, key: str) -> Sent:
        """Send an event."""
        sent = await self.jobs.send(event, key=key)
        self._vendor.ask("acknowledged", key, value=list(sent.run_ids))
        return sent

    async def states(self, run_id: str) -> tuple[str, list[str]]:
        """The states of a run and of those it called; ``forgotten`` for a run that was pruned."""
        with tenant_context(TENANT):
            try:
                run = await self.jobs.runs.get(run_id)
            except RunNotFound:
                return "forgotten", []
            children = await self.jobs.runs.list(parent_id=run_id)
        return run.state, [child.state for child in children]

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait for what the worker of this very process does."""
        while not await condition():  # noqa: ASYNC110 - there is no event for it: the condition is the ledger's
            await asyncio.sleep(0.01)


async def _money(client: Client) -> None:
    # The first alone, the others in one turn of the loop, and so in one transaction.
    first, *others = [PayoutAsked(tenant_id=TENANT, number=number, cents=cents) for number, cents in PAYOUTS.items()]
    await client.send(first, f"payout-{first.number}")
    await asyncio.gather(*[client.send(event, f"payout-{event.number}") for event in others])


async def _saga(client: Client) -> None:
    await client.send(OrderFailed(tenant_id=TENANT), "failed")


async def _waits(client: Client) -> None:
    # The first is paid by a handler, as soon as it is placed; the second once it waits for that.
    await client.send(OrderPlaced(tenant_id=TENANT, order_id="1"), "placed-1")
    sent = await client.send(OrderPlaced(tenant_id=TENANT, order_id="2"), "placed-2")

    async def waits() -> bool:
        with tenant_context(TENANT):
            runs = [await client.jobs.runs.get(run_id) for run_id in sent.run_ids]
        (follow,) = [run for run in runs if run.task == "follow"]
        return follow.state in FINAL or any(step.name == OrderPaid.event_name for step in follow.steps)

    await client.until(waits)
    await client.send(OrderPaid(tenant_id=TENANT, order_id="2", cents=800), "paid-2")


async def _family(client: Client) -> None:
    await client.send(BoxesOrdered(tenant_id=TENANT), "boxes")


async def _lines(client: Client) -> None:
    for number in range(4):
        await client.send(StockMoved(tenant_id=TENANT, item="shoe", number=number), f"move-{number}")
    for number in range(5):
        await client.send(PageSeen(tenant_id=TENANT, number=number), f"page-{number}")


async def _ticks(client: Client) -> None:
    async def fired() -> bool:
        counts = await client.jobs.provider.store.reads.count(RunFilter(None, task="yearly"))
        return sum(counts.values()) >= 2 * TICKS

    await client.until(fired)


async def _cancel(client: Client) -> None:
    sent = await client.send(CampaignBegun(tenant_id=TENANT), "campaign")

    async def underway() -> bool:
        seen = [await client.states(run_id) for run_id in sent.run_ids]
        return all(
            state in FINAL or state == "running" or (state == "waiting" and children == ["waiting"] * 3)
            for state, children in seen
        ) and any(children for _, children in seen)

    await client.until(underway)
    with tenant_context(TENANT):
        for run_id in sent.run_ids:
            await client.jobs.runs.cancel(run_id)


async def _upkeep(client: Client) -> None:
    store, clock = client.jobs.provider.store, client.jobs.clock
    sent = [await client.send(Old(tenant_id=TENANT, number=number), f"old-{number}") for number in range(3)]
    sent.append(await client.send(Late(tenant_id=TENANT), "late"))

    async def over() -> bool:
        await store.expire()
        return all([(await client.states(one.run_ids[0]))[0] in (*FINAL, "forgotten") for one in sent])

    await client.until(over)
    while await store.prune(clock.micros() + 1_000, 2):
        continue


STORIES: dict[str, Callable[[Client], Awaitable[None]]] = {
    "money": _money,
    "saga": _saga,
    "waits": _waits,
    "family": _family,
    "lines": _lines,
    "ticks": _ticks,
    "cancel": _cancel,
    "upkeep": _upkeep,
}
ALL = tuple(name for name in STORIES if name != "upkeep")
"""The stories that may be told at once: upkeep forgets the others' runs."""


async def prepare(jobs: Jobs, folder: Path, database: str) -> None:
    """Before anything happens: the schedule was last looked at three years ago, and the handler's own table is there."""
    store = jobs.provider.store
    row = await store.schedule("yearly", "UTC", "0 0 1 1 *")
    await store.fire(row, row._replace(last_at=row.last_at - _THREE_YEARS), [])
    if database.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(folder / "jobs.db", timeout=30)) as books:
            books.execute("CREATE TABLE postings (number INTEGER, cents INTEGER)")


async def tell(jobs: Jobs, vendor: Vendor, stories: tuple[str, ...]) -> None:
    """Tell these stories with the worker of this process, until every run has ended."""
    client = Client(jobs, vendor)
    await jobs.start(concurrency=8, queues=["default"], scheduler="ticks" in stories, lease=2.0)
    async with asyncio.timeout(45):
        await asyncio.gather(*[STORIES[name](client) for name in stories])

        async def idle() -> bool:
            counts = await jobs.provider.store.reads.count(RunFilter(None, unfinished=True))
            return not sum(counts.values())

        await client.until(idle)
    await jobs.stop()
