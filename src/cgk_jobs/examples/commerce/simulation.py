"""Tasks whose work needs a vendor that this example has no double for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cgk_jobs import Context, Event
from cgk_jobs.examples.commerce.payloads import WholeShop
from cgk_jobs.tasks.task import Task

__all__ = ["simulated"]


def simulated(
    declare: Callable[[Callable[..., Any]], Task[Any]], purpose: str, payload: type[Event] = WholeShop
) -> Task[Any]:
    """Declare a task that only logs its purpose: ``simulated(group.cron(…, tags=(…, "simulated")), "Fetch …")``.

    Its id, schedule, event, retries and limits are those of the real task. ``payload`` is what a task without an event and
    without a schedule takes.
    """

    async def handler(event: Event, ctx: Context) -> None:
        ctx.log.info("simulated: %s", purpose)

    handler.__doc__ = f"Simulated: {purpose}."
    handler.__annotations__ = {"event": payload, "ctx": Context, "return": None}
    return declare(handler)
