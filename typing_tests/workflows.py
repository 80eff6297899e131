"""What a workflow's operations are typed as."""

from typing import assert_type

from pydantic import BaseModel

from cgk_jobs import Context, Event, Jobs, Retry


class Placed(Event, name="typing.workflow_placed"):
    order_id: str


class Paid(Event, name="typing.workflow_paid"):
    order_id: str


class Parcel(BaseModel):
    number: int


jobs = Jobs()


@jobs.task()
async def pack(parcel: Parcel) -> int:
    return parcel.number


@jobs.task(on=Placed)
async def fulfil(event: Placed, ctx: Context) -> None:
    paid = await ctx.wait_for(Paid, "order_id", timeout=60)
    assert_type(paid, Paid)
    assert_type(await ctx.wait_for("order.created", {"order_id": "1"}), Event)
    await ctx.wait_for(Parcel)  # type: ignore[type-var]
    await ctx.step("charge", len, "x", retry=Retry(max_attempts=3), timeout=5, undo=print)
    number: int = await ctx.call(pack, Parcel(number=1))
    numbers: list[int] = await ctx.map(pack, [Parcel(number=number)], concurrency=2)
    await ctx.gather(ctx.call(pack, Parcel(number=numbers[0])), ctx.call(pack, Parcel(number=2)))
    await ctx.map(pack, [1])  # type: ignore[list-item]


@jobs.task(on=Placed)
def plain(event: Placed, ctx: Context) -> None:
    ctx.sync.wait_for(Paid, {"order_id": event.order_id})
    ctx.sync.call(pack, Parcel(number=1))
