"""Runs: list, look at, count, cancel, retry, replay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cgk_jobs.api.models import Bulk, Replay, RunAnswer, RunCount, RunPage, RunQuery
from cgk_jobs.api.routing import Call, Route, acting_for
from cgk_jobs.errors import JobsError, ProviderUnavailable
from cgk_jobs.run_documents import masked_payload, masked_step, run_document
from cgk_jobs.run_views import Run

__all__ = ["ROUTES", "brief"]


def brief(run: Run) -> dict[str, Any]:
    """What a token of one run is told."""
    return {
        "id": run.id, "task": run.task, "state": run.state, "attempt": run.attempt, "progress": run.progress,
        "created_at": run.created_at, "started_at": run.started_at, "finished_at": run.finished_at,
    }  # fmt: skip


async def _list(call: Call) -> Any:
    with call.scope(call.query.tenant_id):
        page = await call.jobs.runs.list(**call.query.model_dump(exclude={"tenant_id"}))
    return {"runs": [run_document(run) for run in page], "next_cursor": page.next_cursor}


async def _count(call: Call) -> Any:
    with call.scope(call.query.tenant_id):
        return {"states": await call.jobs.runs.count(**call.query.model_dump(exclude={"tenant_id"}))}


async def _whole(call: Call) -> Run:
    """The run with steps, attempts and log."""
    found = await call.run(call.path["run_id"])
    with call.scope(found.tenant_id):
        return await call.jobs.runs.get(found.id)


def _steps(call: Call, run: Run) -> list[Any]:
    if call.access.may("payload"):
        return [masked_step(call.jobs, step) for step in run.steps]
    return [replace(step, result=None) for step in run.steps]


async def _get(call: Call) -> Any:
    if call.access.run_id is not None:
        return brief(await call.run(call.path["run_id"]))
    run = await _whole(call)
    document = run_document(run) | {"steps": _steps(call, run), "attempts": run.attempts, "log": run.log}
    if call.access.may("payload"):
        document |= {"payload": masked_payload(call.jobs, run), "result": run.result}
    return document


async def _get_steps(call: Call) -> Any:
    return {"steps": _steps(call, await _whole(call))}


async def _get_attempts(call: Call) -> Any:
    return {"attempts": (await _whole(call)).attempts}


async def _get_log(call: Call) -> Any:
    return {"log": (await _whole(call)).log}


async def _cancel(call: Call) -> Any:
    return await _act(call, "cancel", call.path["run_id"])


async def _retry(call: Call) -> Any:
    return await _act(call, "retry", call.path["run_id"])


async def _replay(call: Call) -> Any:
    return await _act(call, "replay", call.path["run_id"], call.body.from_step)


async def _bulk(call: Call) -> Any:
    """One after the other; what one is refused does not stop the others."""
    results: list[dict[str, Any]] = []
    for run_id in dict.fromkeys(call.body.run_ids):
        try:
            results.append({"run_id": run_id, "done": True, **await _act(call, call.body.action, run_id)})
        except ProviderUnavailable:
            raise
        except JobsError as error:
            results.append({"run_id": run_id, "done": False, "error": str(error)})
    return {"results": results}


async def _act(call: Call, action: str, run_id: str, from_step: str | None = None) -> dict[str, Any]:
    found = await call.run(run_id)
    runs = call.jobs.runs
    # In the run's own tenant, whoever acts: nothing it does may reach further than the run.
    with acting_for(found.tenant_id):
        if action == "cancel":
            return {"cancelled": await runs.cancel(found.id)}
        if action == "retry":
            await runs.retry(found.id)
            return {"retried": found.id}
        return {"run": run_document(await runs.replay(found.id, from_step=from_step))}


ROUTES = (
    Route("GET", "/runs", "read", "List runs, newest first", _list, RunQuery, answer=RunPage),
    Route("GET", "/runs/count", "read", "How many runs are in each state", _count, RunCount),
    Route("POST", "/runs/bulk", "act", "Cancel, retry or replay several runs", _bulk, body=Bulk),
    Route("GET", "/runs/{run_id}", "read", "A run with its steps, attempts and log", _get, answer=RunAnswer, for_run=True),
    Route("GET", "/runs/{run_id}/steps", "read", "The journal of a run", _get_steps),
    Route("GET", "/runs/{run_id}/attempts", "read", "The attempts that did not end a run well", _get_attempts),
    Route("GET", "/runs/{run_id}/log", "read", "What its handler logged", _get_log),
    Route("POST", "/runs/{run_id}/cancel", "act", "Cancel a run and those it called", _cancel),
    Route("POST", "/runs/{run_id}/retry", "act", "Start an ended run again", _retry),
    Route("POST", "/runs/{run_id}/replay", "act", "A new run of the same payload", _replay, body=Replay),
)  # fmt: skip
