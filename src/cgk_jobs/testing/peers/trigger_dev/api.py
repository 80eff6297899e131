"""The REST API, as far as this package uses it, strict about what the vendor is strict about."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cgk_jobs.testing.peers.trigger_dev.runs import Asked, BadOptions, NativeRun, as_object
from cgk_jobs.testing.peers.trigger_dev.store import Service, UnknownTask

__all__ = ["make_api"]

API_VERSION = "2025-07-16"
_Handler = Callable[[Request, Any], Awaitable[Response]]


def make_api(  # noqa: PLR0915 - a route after the other
    service: Service, secret_key: str, asked: list[Asked], environment: dict[str, Any]
) -> Starlette:
    """``asked`` gets each request; ``environment`` is what the key is said to belong to, and its schedules."""
    answered: dict[str, tuple[int, bytes]] = {}

    async def guarded(request: Request, handler: _Handler) -> Response:
        body = await request.body()
        query = f"?{request.url.query}" if request.url.query else ""
        asked.append(Asked(request.method, request.url.path + query, dict(request.headers), body))
        if request.headers.get("authorization") != f"Bearer {secret_key}":
            return _error(401, "Invalid or Missing API key")
        if service.faults.take("broken"):
            return _error(500, "Something went wrong")
        if service.faults.take("limited"):
            reset = service.clock.micros() // 1_000 + 20
            return _error(429, "Rate limit exceeded", {"x-ratelimit-reset": str(reset), "x-ratelimit-remaining": "0"})
        if service.faults.take("garbled"):
            return JSONResponse({"ok": True})
        once = request.headers.get("x-trigger-request-idempotency-key")
        if once is not None and once in answered:
            status, content = answered[once]
            return Response(content, status, media_type="application/json")
        try:
            response = await handler(request, body)
        except UnknownTask:
            response = _error(404, "Task not found")
        except (BadOptions, ValueError) as error:
            response = _error(422, str(error))
        if once is not None and response.status_code < 300:
            answered[once] = response.status_code, bytes(response.body)
        if service.faults.take("broken_after"):
            return _error(500, "Something went wrong")
        return response

    def route(path: str, handler: _Handler, method: str) -> Route:
        async def endpoint(request: Request) -> Response:
            return await guarded(request, handler)

        return Route(path, endpoint, methods=[method])

    async def trigger(request: Request, body: bytes) -> Response:
        run, cached = service.trigger(request.path_params["task"], as_object(json.loads(body)))
        return JSONResponse({"id": run.id, "isCached": cached})

    async def open_batch(request: Request, body: bytes) -> Response:
        batch = service.open_batch(as_object(json.loads(body)))
        return JSONResponse({"id": batch.id, "runCount": batch.count, "isCached": False}, 202)

    async def fill_batch(request: Request, body: bytes) -> Response:
        if request.headers.get("content-type") != "application/x-ndjson":
            return _error(415, "application/x-ndjson")
        batch = service.batches.get(request.path_params["batch"])
        if batch is None:
            return _error(404, "Batch not found")
        taken, again = service.fill(batch, [json.loads(line) for line in body.splitlines() if line])
        sealed = len(batch.runs) == batch.count
        return JSONResponse({"id": batch.id, "itemsAccepted": taken, "itemsDeduplicated": again, "sealed": sealed})

    async def list_runs(request: Request, body: bytes) -> Response:
        tags = request.query_params.get("filter[tag]", "").split(",")
        size = int(request.query_params.get("page[size]", "25"))
        new = request.headers.get("x-trigger-api-version") == API_VERSION
        return JSONResponse({"data": [_shown(run, new) for run in service.listed(tags)[:size]], "pagination": {}})

    async def cancel(request: Request, body: bytes) -> Response:
        run = service.runs.get(request.path_params["run"])
        if run is None or run.status == "LOST":
            return _error(404, "Run not found")
        service.cancel(run)
        return JSONResponse({"id": run.id})

    async def whoami(request: Request, body: bytes) -> Response:
        return JSONResponse({"type": environment["type"], "project": {"externalRef": environment["project"]}})

    async def schedules(request: Request, body: bytes) -> Response:
        return JSONResponse({"data": environment["schedules"], "pagination": {"currentPage": 1, "totalPages": 1}})

    async def make_token(request: Request, body: bytes) -> Response:
        as_object(json.loads(body))
        return JSONResponse({"id": service.make_token(), "isCached": False})

    async def read_token(request: Request, body: bytes) -> Response:
        token = request.path_params["token"]
        if token not in service.tokens:
            return _error(404, "Waitpoint not found")
        data = service.tokens[token]
        done = data is not None
        return JSONResponse(
            {"id": token, "status": "COMPLETED" if done else "WAITING", "output": json.dumps(data) if done else None}
        )

    async def complete_token(request: Request, body: bytes) -> Response:
        found = service.complete(request.path_params["token"], as_object(json.loads(body)).get("data"))
        return JSONResponse({"success": True}) if found else _error(404, "Waitpoint not found")

    return Starlette(
        routes=[
            route("/api/v1/tasks/{task}/trigger", trigger, "POST"),
            route("/api/v3/batches", open_batch, "POST"),
            route("/api/v3/batches/{batch}/items", fill_batch, "POST"),
            route("/api/v1/runs", list_runs, "GET"),
            route("/api/v2/runs/{run}/cancel", cancel, "POST"),
            route("/api/v1/whoami", whoami, "GET"),
            route("/api/v1/schedules", schedules, "GET"),
            route("/api/v1/waitpoints/tokens", make_token, "POST"),
            route("/api/v1/waitpoints/tokens/{token}", read_token, "GET"),
            route("/api/v1/waitpoints/tokens/{token}/complete", complete_token, "POST"),
        ]
    )


def _error(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": text}, status, headers)


def _shown(run: NativeRun, new: bool) -> dict[str, Any]:
    status = run.status if new or run.status != "QUEUED" else "WAITING_FOR_DEPLOY"
    return {"id": run.id, "status": status, "taskIdentifier": run.task, "tags": list(run.tags)}
