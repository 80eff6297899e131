"""The application that is killed: every durable operation, in stories small enough to be told twice in a second.

Nothing here knows of kills. What a handler does outside the ledger it asks the vendor for, with an idempotency key.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from tests.reliability.kill_points.vendor import Vendor

from cgk_jobs import Batch, Context, Event, Jobs, Limit, NonRetryable, Retry, Tick, WaitTimeout

TENANTS = ("acme", "zen")
SOON = Retry(max_attempts=5, initial=0.01, jitter=0)


class PayoutAsked(Event, name="kill.payout_asked"):
    """A creator is to get money."""

    number: int
    cents: int


class PayoutSent(Event, name="kill.payout_sent"):
    """Sent by the handler that paid."""

    number: int
    cents: int


class OrderFailed(Event, name="kill.order_failed"):
    """An order that can't be fulfilled, and so is undone."""


class OrderPlaced(Event, name="kill.order_placed"):
    """An order that waits to be paid."""

    order_id: str


class OrderPaid(Event, name="kill.order_paid"):
    """What the order waits for."""

    order_id: str
    cents: int


class NeverSent(Event, name="kill.never_sent"):
    """What nobody sends."""


class BoxesOrdered(Event, name="kill.boxes_ordered"):
    """Work that is done by other runs."""


class StockMoved(Event, name="kill.stock_moved"):
    """What has to stay in order."""

    item: str
    number: int


class PageSeen(Event, name="kill.page_seen"):
    """What is handled in batches."""

    number: int


class CampaignBegun(Event, name="kill.campaign_begun"):
    """A tree of runs that somebody cancels."""


class Old(Event, name="kill.old"):
    """A run that is soon forgotten."""

    number: int


class Late(Event, name="kill.late"):
    """A run of a queue nobody works for."""


class Box(BaseModel):
    """The payload of a child."""

    number: int


def application(folder: Path, database: str, vendor: Vendor) -> Jobs:
    """The application on a ledger. ``folder``: for a handler's own connection to a ledger in a file."""
    jobs = Jobs(database=database)
    for event in (OrderPaid, NeverSent):
        jobs.events.add(event)

    @jobs.tenant_source
    def tenants() -> tuple[str, ...]:
        return TENANTS

    def ask(ctx: Context, kind: str, step: str, value: Any, *, refuse: bool = False) -> Any:
        key = ctx.idempotency_key(step)
        return vendor.ask(kind, key, run=ctx.run_id, step=step, value=value, refuse=refuse)

    # -- money: steps, retries, a limit, a send from the handler, a step in the ledger's own transaction ------------------

    @jobs.task(on=PayoutAsked, retry=SOON, concurrency=Limit(1, per="tenant"))
    async def pay(event: PayoutAsked, ctx: Context) -> int:
        def transfer() -> Any:
            # The vendor is not there when the second payout is asked for the first time.
            refuse = event.number == 2 and not vendor.was_asked(ctx.idempotency_key("transfer"))
            return ask(ctx, "payout", "transfer", event.cents, refuse=refuse)

        vendor.ask("payout begun", ctx.run_id, run=ctx.run_id)
        try:
            await ctx.step("check", ask, ctx, "check", "check", event.number)
            cents = await ctx.step("transfer", transfer, retry=SOON)
            await ctx.metadata(paid=cents)
            ctx.log.info("paid %d", cents)
            if event.number == 1 and ctx.attempt == 1:
                raise ConnectionError("after the payout, before anybody was told of it")
            sent = PayoutSent(tenant_id=event.tenant_id, number=event.number, cents=cents)
            await ctx.send(sent, key=ctx.idempotency_key("sent"))
            return int(cents)
        finally:
            vendor.ask("payout ended", ctx.run_id, run=ctx.run_id)

    @jobs.task(on=PayoutSent, retry=SOON)
    async def post(event: PayoutSent, ctx: Context) -> None:
        if not database.startswith("sqlite"):
            return
        with contextlib.closing(sqlite3.connect(folder / "jobs.db", timeout=30)) as books:

            def write() -> None:
                books.execute("INSERT INTO postings VALUES (?, ?)", (event.number, event.cents))

            await ctx.step("post", write, connection=books)

    # -- saga: what was done is undone, the last first -------------------------------------------------------------------

    @jobs.task(on=OrderFailed, retry=SOON)
    async def fulfil(event: OrderFailed, ctx: Context) -> None:
        def undo(step: str) -> Any:
            return lambda value: ask(ctx, "undone", f"undo:{step}", value)

        await ctx.step("reserve", ask, ctx, "done", "reserve", "reserved", undo=undo("reserve"))
        await ctx.step("charge", ask, ctx, "done", "charge", "charged", undo=undo("charge"))
        raise NonRetryable("out of stock")

    # -- waits: sleep, wait_for answered and not ------------------------------------------------------------------------

    @jobs.task(on=OrderPlaced, retry=SOON)
    async def follow(event: OrderPlaced, ctx: Context) -> list[Any]:
        await ctx.step("begin", ask, ctx, "followed", "begin", event.order_id)
        await ctx.sleep(0.03)
        paid = await ctx.wait_for(OrderPaid, "order_id")
        try:
            await ctx.wait_for(NeverSent, timeout=0.03)
        except WaitTimeout:
            late = True
        else:
            late = False
        await ctx.step("end", ask, ctx, "followed", "end", event.order_id)
        return [paid.cents, late]

    @jobs.task(on=OrderPlaced, retry=SOON)
    async def till(event: OrderPlaced, ctx: Context) -> None:
        if event.order_id == "1":
            paid = OrderPaid(tenant_id=event.tenant_id, order_id=event.order_id, cents=700)
            await ctx.send(paid, key=ctx.idempotency_key("paid"))

    # -- family: call, gather, map --------------------------------------------------------------------------------------

    @jobs.task(retry=SOON)
    async def pack(payload: Box, ctx: Context) -> int:
        await ctx.step("pack", ask, ctx, "packed", "pack", payload.number)
        return payload.number * 10

    @jobs.task(on=BoxesOrdered, retry=SOON)
    async def packs(event: BoxesOrdered, ctx: Context) -> list[Any]:
        one = await ctx.call(pack, Box(number=1))
        two = await ctx.gather(ctx.call(pack, Box(number=2)), ctx.call(pack, Box(number=3)))
        many = await ctx.map(pack, [Box(number=number) for number in range(4, 9)], concurrency=2)
        return [one, two, many]

    # -- lines: in order, in batches ------------------------------------------------------------------------------------

    @jobs.task(on=StockMoved, ordered_by="item", retry=SOON)
    async def move(event: StockMoved, ctx: Context) -> None:
        await ctx.step("move", ask, ctx, f"moved {event.item}", "move", event.number)

    @jobs.task(on=PageSeen, batch=Batch(3, 0.05), retry=SOON)
    async def count(events: list[PageSeen], ctx: Context) -> list[int]:
        numbers = [event.number for event in events]
        await ctx.step("count", ask, ctx, "counted", "count", numbers)
        return numbers

    # -- ticks ----------------------------------------------------------------------------------------------------------

    @jobs.cron("0 0 1 1 *", tenants="each", misfire="all", retry=SOON)
    async def yearly(tick: Tick, ctx: Context) -> int:
        await ctx.step("count", ask, ctx, "year", "count", [ctx.tenant_id, tick.scheduled_at.year])
        return tick.scheduled_at.year

    # -- cancelled: what waits, what runs -------------------------------------------------------------------------------

    @jobs.task(retry=SOON)
    async def wait(payload: Box, ctx: Context) -> None:
        await ctx.wait_for(NeverSent)

    @jobs.task(on=CampaignBegun, retry=SOON)
    async def campaign(event: CampaignBegun, ctx: Context) -> None:
        await ctx.map(wait, [Box(number=number) for number in range(3)])

    @jobs.task(on=CampaignBegun, retry=SOON)
    async def endless(event: CampaignBegun, ctx: Context) -> None:
        await asyncio.Event().wait()

    # -- upkeep ---------------------------------------------------------------------------------------------------------

    @jobs.task(on=Old, retry=SOON)
    async def old(event: Old, ctx: Context) -> int:
        await ctx.step("old", ask, ctx, "old", "old", event.number)
        ctx.log.info("old")
        return event.number

    @jobs.task(on=Late, queue="nobody", expires=0.01)
    async def late(event: Late) -> None:
        vendor.ask("late", event.tenant_id)

    return jobs
