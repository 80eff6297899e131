"""The application of the scenarios on a server: the tasks of all scenarios, and some only these need."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from tests.reliability.application import Application, application

from cgk_jobs import Context, Event, Limit, Retry

__all__ = ["Contended", "Elsewhere", "Flow", "Order", "Parked", "Throttled", "served"]


class Flow(Event, name="server.flow"):
    """A workflow of some steps."""

    number: int
    steps: int


class Parked(Event, name="server.parked"):
    """Work of which so many attempts go on until they are killed; the one after them is done at once."""

    number: int
    deaths: int


class Elsewhere(Event, name="server.elsewhere"):
    """Work of another queue."""

    number: int


class Order(Event, name="server.order"):
    """An order the application has stored in the same transaction."""

    number: int


class Contended(Event, name="server.contended"):
    """Work that ends well or badly, as its number says."""

    number: int


class Throttled(Event, name="server.throttled"):
    """Work under two limits, some milliseconds long."""

    number: int


def served(folder: Path, url: str) -> Application:
    """The application on ``folder``, its ledger in the database at ``url``."""
    jobs = application(folder, url)
    history = jobs.history

    # Restarts of the server and kills of workers are frequent: runs start again at once, and as often as it takes.
    patient = Retry(max_attempts=50, initial=0)

    @jobs.task(on=Flow, retry=patient)
    async def flow(event: Flow, ctx: Context) -> list[int]:
        def act(place: int) -> int:
            history.write("step", event.number, place)
            return event.number * 100 + place

        results: list[int] = []
        for place in range(event.steps):
            results.append(await ctx.step(f"step-{place}", act, place))
            history.write("stored", event.number, place)
        return results

    @jobs.task(on=Parked, retry=patient)
    async def parked(event: Parked, ctx: Context) -> int:
        history.write("parked", event.number, ctx.attempt, os.getpid())
        if ctx.attempt <= event.deaths:
            await asyncio.Event().wait()
        return event.number

    @jobs.task(on=Elsewhere, queue="elsewhere")
    async def elsewhere(event: Elsewhere) -> int:
        history.write("elsewhere", event.number, os.getpid())
        return event.number

    @jobs.task(on=Order, retry=patient)
    async def order(event: Order) -> int:
        history.write("order", event.number)
        return event.number

    @jobs.task(on=Contended, retry=Retry(max_attempts=2, initial=0))
    async def contended(event: Contended, ctx: Context) -> int:
        ctx.log.info("at work")
        await asyncio.sleep(0)
        if (event.number + ctx.attempt) % 3 == 0:
            raise ValueError(event.number)
        return event.number

    @jobs.task(on=Throttled, concurrency=[Limit(10), Limit(2, per="tenant")], retry=patient)
    async def throttled(event: Throttled) -> None:
        history.write("throttled", event.tenant_id, event.number, os.getpid())
        await asyncio.sleep(0.01)
        history.write("through", event.tenant_id, event.number, os.getpid())

    return jobs
