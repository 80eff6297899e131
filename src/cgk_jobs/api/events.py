"""Events: which there are, their schemas, and sending one."""

from __future__ import annotations

from typing import Any

from cgk_jobs.api.models import EventToSend, TenantQuery
from cgk_jobs.api.routing import Call, Route
from cgk_jobs.events import registry as catalogue
from cgk_jobs.events.lookup import find_event
from cgk_jobs.web.access import Refused

__all__ = ["ROUTES"]


async def _list(call: Call) -> Any:
    return {"application": list(call.jobs.events), "catalogue": dict(catalogue.categories())}


async def _schema(call: Call) -> Any:
    return find_event(call.jobs.events, call.path["name"]).json_schema()


async def _send(call: Call) -> Any:
    given = call.body
    named = given.payload.get("tenant_id")
    if named is not None and not isinstance(named, str):
        raise Refused(422, "the body does not fit: payload.tenant_id is text")
    with call.scope(named if named is not None else call.query.tenant_id) as tenant_id:
        if tenant_id is None:
            raise Refused(400, "for which tenant? Say it with payload.tenant_id or tenant_id")
        options = given.model_dump(exclude={"event", "payload"}, exclude_defaults=True)
        if call.key is not None:
            options["key"] = call.key
        sent = await call.jobs.send(given.event, {"tenant_id": tenant_id, **given.payload}, **options)
    return {"event_id": sent.event_id, "run_ids": sent.run_ids, "status": sent.status, "error": sent.error}


ROUTES = (
    Route("GET", "/events", "read", "The application's events and the catalogue's", _list),
    Route("GET", "/events/{name}/schema", "read", "The JSON Schema of an event", _schema),
    Route("POST", "/events", "send", "Send an event; Idempotency-Key keeps it from being sent twice", _send, TenantQuery,
          EventToSend, status=202),
)  # fmt: skip
