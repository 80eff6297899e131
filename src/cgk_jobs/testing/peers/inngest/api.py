"""The APIs for events, for registration and for runs, strict about what the vendor is strict about."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cgk_jobs.testing.peers.inngest.service import ENDED, Asked, Refused, Service

__all__ = ["make_api"]

_Handler = Callable[[Request, bytes], Awaitable[Response]]


def make_api(
    service: Service, event_key: str, bearer: Callable[[], str], asked: list[Asked], connections: list[str]
) -> Starlette:
    """``asked`` gets each request; ``bearer``: what the API is called with; ``connections``: of who wanted a gateway."""

    async def no_gateway(request: Request) -> Response:
        connections.append(request.headers.get("authorization", ""))
        return _error(503, "no gateway here")

    async def answered(request: Request, handler: _Handler, *, allowed: bool) -> Response:
        body = await request.body()
        query = f"?{request.url.query}" if request.url.query else ""
        asked.append(Asked(request.method, request.url.path + query, dict(request.headers), body))
        if not allowed:
            return _error(401, "unauthorized")
        if service.faults.take("broken"):
            return _error(500, "internal error")
        if service.faults.take("limited"):
            return _error(429, "rate limited", {"retry-after": "0"})
        if service.faults.take("garbled"):
            return JSONResponse({"ok": True})
        try:
            response = await handler(request, body)
        except Refused as refused:
            response = _error(refused.status, str(refused))
        except ValueError as error:
            response = _error(400, str(error))
        return _error(500, "internal error") if service.faults.take("broken_after") else response

    async def events(request: Request) -> Response:
        async def take(request: Request, body: bytes) -> Response:
            return JSONResponse({"ids": service.take(json.loads(body)), "status": 200})

        return await answered(request, take, allowed=request.path_params["key"] == event_key)

    def route(path: str, handler: _Handler, method: str) -> Route:
        async def endpoint(request: Request) -> Response:
            # The vendor's packages differ in whether they leave the prefix on.
            given = request.headers.get("authorization", "")
            allowed = given in (f"Bearer {bearer()}", f"Bearer {bearer().rpartition('-')[2]}")
            return await answered(request, handler, allowed=allowed)

        return Route(path, endpoint, methods=[method])

    async def register(request: Request, body: bytes) -> Response:
        return JSONResponse({"ok": True, "modified": service.register(json.loads(body))})

    async def list_events(request: Request, body: bytes) -> Response:
        return JSONResponse({"data": []})

    async def event_runs(request: Request, body: bytes) -> Response:
        runs = [] if service.faults.lagging else service.by_event.get(request.path_params["event"], [])
        data = [{"run_id": run, "status": service.runs[run].status, "output": None} for run in runs]
        return JSONResponse({"data": data})

    async def cancel(request: Request, body: bytes) -> Response:
        run = service.runs.get(request.path_params["run"])
        if run is None:
            return _error(404, "run not found")
        if run.status not in ENDED:
            run.status = "Cancelled"
        return Response(status_code=200)

    return Starlette(
        routes=[
            Route("/e/{key}", events, methods=["POST"]),
            Route("/v0/connect/start", no_gateway, methods=["POST"]),
            route("/fn/register", register, "POST"),
            route("/v1/events", list_events, "GET"),
            route("/v1/events/{event}/runs", event_runs, "GET"),
            route("/v1/runs/{run}", cancel, "DELETE"),
        ]
    )


def _error(status: int, text: str, headers: dict[str, Any] | None = None) -> Response:
    return JSONResponse({"error": text, "status": status}, status, headers)
