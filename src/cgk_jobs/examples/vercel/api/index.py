"""A shop on Vercel: orders come in by HTTP, and what follows is done in calls of Vercel's clock and of the shop itself.

No process runs between two calls. The ledger is in PostgreSQL, whose address is in ``DATABASE_URL``.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from cgk_jobs import Context, Event, Jobs, Tick

jobs = Jobs()


class OrderPlaced(Event, name="shop.order_placed"):
    """An order was placed."""

    order_id: str
    total_cents: int
    currency: str


@jobs.task(on=OrderPlaced, timeout=30)
async def confirm(event: OrderPlaced, ctx: Context) -> str:
    """Confirm an order to whoever placed it."""
    ctx.log.info("order %s: %d %s", event.order_id, event.total_cents, event.currency)
    return event.order_id


@jobs.cron("0 7 * * *", timezone="Europe/Berlin", tenants="seen", timeout=30)
async def summary(tick: Tick, ctx: Context) -> None:
    """Sum up the day before, at seven in Berlin, summer and winter."""
    ctx.log.info("the day before %s", tick.scheduled_at.date())


async def place(request: Request) -> JSONResponse:
    """Take an order: answered once it is stored, before anything is done about it."""
    order = await request.json()
    sent = await jobs.send("shop.order_placed", {"tenant_id": request.path_params["shop"], **order})
    return JSONResponse({"event": sent.event_id}, 202)


app = Starlette(routes=[Route("/shops/{shop}/orders", place, methods=["POST"]), Mount("/jobs", jobs.asgi())])
