"""Flow control as a user writes it: a batched handler takes a list, every other one an event."""

from datetime import timedelta
from typing import assert_type

from pydantic import BaseModel

from cgk_jobs import Batch, Context, Debounce, Event, Jobs, Latest, Sent, Throttle, Unique
from cgk_jobs.runs import Run
from cgk_jobs.tasks.task import Task

jobs = Jobs()


class Placed(Event, name="typing.flow"):
    order_id: str


class Row(BaseModel):
    path: str


@jobs.task(on=Placed, batch=Batch(10, timedelta(seconds=5), by="order_id"), throttle=Throttle(5, 1))
async def batched(events: list[Placed], ctx: Context) -> None:
    await ctx.metadata(rows=len(events), first=events[0].order_id)


@jobs.task(batch=Batch(10, 5))
def batched_rows(rows: list[Row]) -> None: ...


@jobs.task(on=Placed, unique=Unique(by=("order_id",), while_="queued", period=60), ordered_by="order_id")
async def unique(event: Placed) -> None: ...


@jobs.task(on=Placed, debounce=Debounce(5, by="order_id", max_wait=60))
async def debounced(event: Placed) -> None: ...


@jobs.task(on=Placed, latest=Latest(), ordered_by=("order_id",))
async def latest(event: Placed) -> None: ...


assert_type(batched, Task[Placed])
assert_type(batched_rows, Task[Row])
assert_type(unique, Task[Placed])


async def single(event: Placed) -> None: ...


async def several(events: list[Placed]) -> None: ...


jobs.task(on=Placed, batch=Batch(10, 5))(single)  # type: ignore[arg-type]
jobs.task(on=Placed)(several)  # type: ignore[arg-type]
jobs.task(on=Placed, batch=Batch(10, 5), unique=Unique())  # type: ignore[call-overload]
Unique(while_="running")  # type: ignore[arg-type]


async def use() -> None:
    assert_type(await batched.send(Placed(tenant_id="acme", order_id="1")), Sent)
    await batched.send([Placed(tenant_id="acme", order_id="1")])  # type: ignore[arg-type]
    async for run in jobs.runs.watch(task="batched", state="running"):
        assert_type(run, Run)
    await jobs.runs.cancel(task="batched", tree=False)
    await jobs.runs.cancel(colour="red")  # type: ignore[call-arg]
