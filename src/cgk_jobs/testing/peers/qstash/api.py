"""The service's addresses."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cgk_jobs.testing.peers.qstash.broker import Asked, Broker
from cgk_jobs.testing.peers.qstash.messages import Message, Rejected, new_id, read_message
from cgk_jobs.testing.peers.qstash.schedule import Schedule
from cgk_jobs.wire.json import loads

__all__ = ["make_api"]

_Handler = Callable[[Request], Awaitable[Response]]
_UNLIMITED = ("/v2/publish", "/v2/enqueue", "/v2/batch")
"""Without a limit of requests in a second."""


def make_api(broker: Broker, token: str, keys: Callable[[], tuple[str, str]], rotate: Callable[[], None]) -> Starlette:
    """An ASGI app. ``keys``: current and next signing key."""
    api = _Api(broker, keys, rotate)

    def route(path: str, handler: _Handler, *methods: str) -> Route:
        return Route(path, _guarded(handler, broker, token), methods=list(methods))

    return Starlette(
        routes=[
            route("/v2/publish/{destination:path}", api.publish, "POST"),
            route("/v2/enqueue/{queue}/{destination:path}", api.publish, "POST"),
            route("/v2/batch", api.batch, "POST"),
            route("/v2/messages/{id}", api.message, "GET", "DELETE"),
            route("/v2/messages", api.cancel, "DELETE"),
            route("/v2/logs", api.logs, "GET"),
            route("/v2/events", api.logs, "GET"),
            route("/v2/dlq/retry/{id}", api.retry_dead, "POST"),
            route("/v2/dlq/{id}", api.dead, "GET", "DELETE"),
            route("/v2/dlq", api.list_dead, "GET"),
            route("/v2/schedules", api.list_schedules, "GET"),
            route("/v2/schedules/{id}/pause", api.pause, "PATCH", "POST"),
            route("/v2/schedules/{id}/resume", api.pause, "PATCH", "POST"),
            route("/v2/schedules/{destination:path}", api.schedule, "POST", "GET", "DELETE"),
            route("/v2/keys", api.keys, "GET"),
            route("/v2/keys/rotate", api.rotate, "POST"),
        ]
    )


def _guarded(handler: _Handler, broker: Broker, token: str) -> _Handler:
    faults = broker.faults

    async def guarded(request: Request) -> Response:
        target = request.scope["raw_path"].decode("latin-1")
        broker.asked.append(Asked(request.method, target, dict(request.headers), await request.body()))
        if faults.slow:
            await asyncio.sleep(faults.slow)
        given = request.headers.get("authorization", "").removeprefix("Bearer ") or request.query_params.get(
            "qstash_token"
        )
        if not given or not secrets.compare_digest(given.encode(), token.encode()):
            return JSONResponse({"error": "unauthorized"}, 401)
        if faults.limited > 0:
            faults.limited -= 1
            headers = {"Burst-RateLimit-Limit": "100", "Burst-RateLimit-Remaining": "0", "Burst-RateLimit-Reset": "1"}
            return JSONResponse({"error": "rate limit exceeded"}, 429, headers)
        if faults.broken > 0:
            faults.broken -= 1
            return JSONResponse({"error": "internal"}, 500)
        try:
            answer = await handler(request)
        except Rejected as rejected:
            answer = JSONResponse({"error": str(rejected)}, rejected.status)
        if faults.broken_after > 0:
            faults.broken_after -= 1
            return JSONResponse({"error": "internal"}, 500)
        if faults.garbled > 0:
            faults.garbled -= 1
            return Response("<html>welcome</html>", media_type="text/html")
        return answer

    return guarded


class _Api:
    def __init__(self, broker: Broker, keys: Callable[[], tuple[str, str]], rotate: Callable[[], None]) -> None:
        self._broker, self._keys, self._rotate = broker, keys, rotate

    async def publish(self, request: Request) -> Response:
        url, queue = _raw_destination(request), request.path_params.get("queue")
        message = self._read(url, dict(request.headers), await request.body(), queue=queue)
        shown = self._take(message)
        return JSONResponse(shown, 202 if "deduplicated" in shown else 200)

    async def batch(self, request: Request) -> Response:
        try:
            found = loads(await request.body())
        except ValueError:
            found = None
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in cast(list[object], found)):
            raise Rejected("body must be an array of messages")
        items = cast(list[dict[str, Any]], found)
        poison = self._broker.faults.poison
        if poison and any(poison in (item.get("headers") or {}).values() for item in items):
            raise Rejected("invalid batch")
        return JSONResponse([self._take_item(item) for item in items])

    async def message(self, request: Request) -> Response:
        message = self._broker.messages.get(request.path_params["id"])
        if message is None:
            raise Rejected("message not found", 404)
        if request.method == "GET":
            return JSONResponse(message.shown())
        self._broker.cancel(message)
        return JSONResponse({})

    async def cancel(self, request: Request) -> Response:
        query = request.query_params
        ids = query.getlist("messageIds")
        body = await request.body()
        if body:
            ids += loads(body).get("messageIds", [])
        found = list(self._broker.messages.values())
        if ids:
            found = [message for message in found if message.id in ids]
        found = _filtered(found, request)[: int(query.get("count", "500"))]
        for message in found:
            self._broker.cancel(message)
        return JSONResponse({"cancelled": len(found)})

    async def logs(self, request: Request) -> Response:
        query = request.query_params
        lines = [
            line
            for line in reversed(self._broker.log)
            if query.get("messageId") in (None, line["messageId"])
            and query.get("state") in (None, line["state"])
            and ("label" not in query or query["label"] in line["labels"])
        ]
        return JSONResponse({"cursor": "", "logs" if request.url.path.endswith("logs") else "events": lines[:1000]})

    async def list_dead(self, request: Request) -> Response:
        count, start = int(request.query_params.get("count", "100")), int(request.query_params.get("cursor") or "0")
        dead = {message.id: id for id, message in self._broker.dead.items()}
        found = _filtered(list(self._broker.dead.values()), request)
        page = [self._shown_dead(dead[message.id], message) for message in found[start : start + count]]
        more = str(start + count) if len(found) > start + count else ""
        return JSONResponse({"messages": page, "cursor": more})

    async def dead(self, request: Request) -> Response:
        id = request.path_params["id"]
        message = self._dead(id)
        if request.method == "GET":
            return JSONResponse(self._shown_dead(id, message))
        del self._broker.dead[id]
        return JSONResponse({})

    async def retry_dead(self, request: Request) -> Response:
        id = request.path_params["id"]
        message = self._dead(id)
        del self._broker.dead[id]
        again = self._broker.again(message)
        return JSONResponse({"messageId": again.id}, 201)

    async def schedule(self, request: Request) -> Response:
        schedules = self._broker.schedules
        if request.method != "POST":
            schedule = schedules.get(request.path_params["destination"])
            if schedule is None:
                raise Rejected("schedule not found", 404)
            if request.method == "GET":
                return JSONResponse(schedule.shown())
            del schedules[schedule.id]
            return JSONResponse({})
        headers = dict(request.headers)
        id, cron = headers.get("upstash-schedule-id") or f"scd_{secrets.token_hex(16)}", headers.get("upstash-cron")
        if not cron or not id.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise Rejected("a schedule needs a cron, and an id of letters, digits and -_.")
        if id not in schedules and len(schedules) >= self._broker.limits.schedules:
            raise Rejected("too many schedules", 412)
        message = self._read(_raw_destination(request), headers, await request.body())
        schedules[id] = Schedule(id, cron, message, self._broker.now())
        self._broker.look()
        return JSONResponse({"scheduleId": id}, 201)

    async def list_schedules(self, request: Request) -> Response:
        return JSONResponse([schedule.shown() for schedule in self._broker.schedules.values()])

    async def pause(self, request: Request) -> Response:
        if request.method == "POST" and self._broker.faults.patch_only:
            raise Rejected("method not allowed", 405)
        schedule = self._broker.schedules.get(request.path_params["id"])
        if schedule is None:
            raise Rejected("schedule not found", 404)
        schedule.paused = request.url.path.endswith("/pause")
        self._broker.look()
        return JSONResponse({})

    async def keys(self, request: Request) -> Response:
        current, following = self._keys()
        return JSONResponse({"current": current, "next": following})

    async def rotate(self, request: Request) -> Response:
        self._rotate()
        return await self.keys(request)

    def _read(self, url: str, headers: dict[str, str], body: bytes, *, queue: str | None = None) -> Message:
        return read_message(new_id(), url, headers, body, self._broker.now(), self._broker.limits, queue=queue)

    def _take(self, message: Message) -> dict[str, Any]:
        id, double = self._broker.add(message)
        return {"messageId": id, "deduplicated": True} if double else {"messageId": id}

    def _take_item(self, item: dict[str, Any]) -> dict[str, Any]:
        try:
            body = item.get("body") or ""
            return self._take(
                self._read(item["destination"], item.get("headers") or {}, body.encode(), queue=item.get("queue"))
            )
        except (Rejected, KeyError, AttributeError) as error:
            return {"error": str(error) if isinstance(error, Rejected) else "invalid message"}

    def _dead(self, id: str) -> Message:
        message = self._broker.dead.get(id)
        if message is None:
            raise Rejected("dlq message not found", 404)
        return message

    def _shown_dead(self, id: str, message: Message) -> dict[str, Any]:
        return message.shown() | {
            "dlqId": id,
            "responseStatus": message.answers[-1],
            "responseBody": "",
            "responseHeader": {},
        }


def _filtered(messages: Sequence[Message], request: Request) -> list[Message]:
    query = request.query_params
    return [
        message
        for message in messages
        if ("label" not in query or query["label"] in message.labels)
        and query.get("url") in (None, message.url)
        and query.get("flowControlKey") in (None, message.flow_key)
        and query.get("messageId") in (None, message.id)
    ]


def _raw_destination(request: Request) -> str:
    """As it was in the address: neither decoded nor with its slashes made one."""
    raw = request.scope["raw_path"].decode("latin-1")
    at = raw.find("http://") if "http://" in raw else raw.find("https://")
    if at < 0:
        raise Rejected("invalid destination url")
    if request.query_params:
        raise Rejected("a destination in the path can't have a query")
    return str(raw[at:])
