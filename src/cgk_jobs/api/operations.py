"""Schedules, tenants, queues and workers. What concerns all tenants is for who may see all of them."""

from __future__ import annotations

from typing import Any

from cgk_jobs.api.models import Limits, TenantQuery, Ticks, UsageQuery
from cgk_jobs.api.routing import Call, Route
from cgk_jobs.clock import from_micros
from cgk_jobs.engine.quotas import Quota
from cgk_jobs.tasks.policy import Rate

__all__ = ["ROUTES", "queue_list", "tenant_list"]


async def _schedules(call: Call) -> Any:
    return {"schedules": await call.jobs.schedules.list()}


async def _ticks(call: Call) -> Any:
    found = call.jobs.schedules.next_ticks(call.path["schedule_id"], call.query.count, timezone=call.query.timezone)
    return {"schedule": call.path["schedule_id"], "next": found}


async def _pause_schedule(call: Call) -> Any:
    await call.jobs.schedules.pause(call.path["schedule_id"])
    return {"schedule": call.path["schedule_id"], "paused": True}


async def _resume_schedule(call: Call) -> Any:
    await call.jobs.schedules.resume(call.path["schedule_id"])
    return {"schedule": call.path["schedule_id"], "paused": False}


async def _trigger(call: Call) -> Any:
    with call.scope(call.query.tenant_id) as tenant_id:
        found = await call.jobs.schedules.trigger(call.path["schedule_id"], tenant_id=tenant_id)
    return {"runs": [{"run_ids": one.run_ids, "status": one.status, "error": one.error} for one in found]}


async def tenant_list(call: Call) -> list[Any]:
    """The tenants the caller sees."""
    return [one for one in await call.jobs.tenants.list() if call.access.sees(one.id)]


async def _tenants(call: Call) -> Any:
    return {"tenants": await tenant_list(call)}


async def _pause_tenant(call: Call) -> Any:
    await call.jobs.tenants.pause(call.own(call.path["tenant_id"]))
    return {"tenant_id": call.path["tenant_id"], "paused": True}


async def _resume_tenant(call: Call) -> Any:
    await call.jobs.tenants.resume(call.own(call.path["tenant_id"]))
    return {"tenant_id": call.path["tenant_id"], "paused": False}


async def _limit(call: Call) -> Any:
    given: dict[str, Any] = {}
    for name in call.body.model_fields_set:
        value = getattr(call.body, name)
        if value is not None and name == "rate":
            value = Rate(value.n, seconds=value.seconds, per="tenant")
        elif value is not None and name in ("queued", "payload_bytes", "sends"):
            value = Quota(value.soft, value.hard, value.seconds)
        given[name] = value
    await call.jobs.tenants.limit(call.path["tenant_id"], **given)
    return {"tenant_id": call.path["tenant_id"], "changed": sorted(given)}


async def _usage(call: Call) -> Any:
    tenant_id = call.own(call.path["tenant_id"])
    with call.scope(tenant_id):
        return await call.jobs.tenants.usage(tenant_id, by=call.query.by, periods=call.query.periods)


async def queue_list(call: Call) -> list[dict[str, Any]]:
    """The queues that tasks name, and paused ones."""
    tasks: dict[str, int] = {}
    for row in await call.jobs.provider.store.reads.subscriptions():
        tasks[row.queue] = tasks.get(row.queue, 0) + 1
    paused = await call.jobs.queues.paused()
    return [{"name": name, "tasks": tasks.get(name, 0), "paused": name in paused} for name in sorted({*tasks, *paused})]


async def _queues(call: Call) -> Any:
    return {"queues": await queue_list(call)}


async def _pause_queue(call: Call) -> Any:
    await call.jobs.queues.pause(call.path["queue"])
    return {"queue": call.path["queue"], "paused": True}


async def _resume_queue(call: Call) -> Any:
    await call.jobs.queues.resume(call.path["queue"])
    return {"queue": call.path["queue"], "paused": False}


async def _workers(call: Call) -> Any:
    rows = await call.jobs.provider.store.reads.workers()
    return {
        "workers": [
            {"id": row.id, "host": row.host, "pid": row.pid, "queues": row.queues, "concurrency": row.concurrency,
             "started_at": from_micros(row.started_at), "beat_at": from_micros(row.beat_at)}
            for row in rows
        ]
    }  # fmt: skip


ROUTES = (
    Route("GET", "/schedules", "read", "The application's schedules", _schedules),
    Route("GET", "/schedules/{schedule_id}/next", "read", "When a schedule runs next", _ticks, Ticks),
    Route("POST", "/schedules/{schedule_id}/pause", "act", "Fire no more ticks", _pause_schedule, whole=True),
    Route("POST", "/schedules/{schedule_id}/resume", "act", "Fire again, from the next tick on", _resume_schedule, whole=True),
    Route("POST", "/schedules/{schedule_id}/trigger", "act", "Run a schedule's task now", _trigger, TenantQuery),
    Route("GET", "/tenants", "read", "The tenants this login sees", _tenants),
    Route("GET", "/tenants/{tenant_id}/usage", "read", "What a tenant uses; reads every run of it", _usage, UsageQuery),
    Route("POST", "/tenants/{tenant_id}/pause", "act", "Start no more runs of a tenant", _pause_tenant, whole=True),
    Route("POST", "/tenants/{tenant_id}/resume", "act", "Start a tenant's runs again", _resume_tenant, whole=True),
    Route("POST", "/tenants/{tenant_id}/limits", "act", "Change share, limits and quotas", _limit, body=Limits, whole=True),
    Route("GET", "/queues", "read", "The queues", _queues),
    Route("POST", "/queues/{queue}/pause", "act", "Start no more runs of a queue", _pause_queue, whole=True),
    Route("POST", "/queues/{queue}/resume", "act", "Start a queue's runs again", _resume_queue, whole=True),
    Route("GET", "/workers", "read", "The workers", _workers, whole=True),
)  # fmt: skip
