"""``cgk jobs send``."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from cgk_jobs.cli.application import opened
from cgk_jobs.cli.console import printable, result, say, show_json
from cgk_jobs.cli.errors import Failure
from cgk_jobs.cli.formats import compact
from cgk_jobs.cli.options import app_option, json_option, scope
from cgk_jobs.errors import JobsError, RunCancelled, RunExpired, RunFailed, WaitTimeout

if TYPE_CHECKING:
    from cgk_jobs.app import Jobs
    from cgk_jobs.events.sent import Sent

__all__ = ["send"]


@click.command()
@click.argument("event")
@click.option("--tenant", required=True, metavar="TENANT", help="The tenant it happened in.")
@click.option("--data", default="{}", metavar="JSON", help="The event's fields as JSON; @FILE reads a file, - stdin.")
@click.option("--wait", is_flag=True, help="Wait for its runs and print their results.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="With --wait: how long at most.")
@click.option("--delay", type=click.FloatRange(min=0), metavar="SECONDS", help="Not before then.")
@click.option("--key", help="Idempotency key: a second send with it makes no second run.")
@click.option("--priority", type=click.IntRange(0, 100), help="0 to 100 (first); default: the task's.")
@click.option("--expires", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Drop it if not started by then.")  # fmt: skip
@click.option("--tag", "tags", multiple=True, help="Tag its runs; may be given again.")
@app_option
@json_option
def send(
    *,
    event: str,
    tenant: str,
    data: str,
    wait: bool,
    timeout: float | None,
    app: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Send an event by its name: one of the application's, or of the catalogue."""
    if timeout is not None and not wait:
        raise click.UsageError("--timeout goes with --wait")
    payload = _payload(data, tenant)
    chosen = {name: value for name, value in options.items() if value not in (None, ())}
    whose = scope(tenant, False, "send")
    with opened(app, create=True, prefer_app=True) as jobs, whose:
        sent, outcomes = asyncio.run(_send(jobs, event, payload, chosen, wait, timeout))
    failures = [error for error in outcomes.values() if isinstance(error, JobsError)]
    if as_json:
        document: dict[str, Any] = {"event_id": sent.event_id, "status": sent.status, "run_ids": sent.run_ids}
        if sent.error is not None:
            document["error"] = sent.error
        if wait:
            document["runs"] = [_ending(run_id, outcome) for run_id, outcome in outcomes.items()]
        show_json(document)
    else:
        _report(sent, outcomes, wait)
    if sent.status == "refused":
        raise Failure(f"refused: {sent.error}")
    if failures:
        raise failures[0]


def _payload(data: str, tenant: str) -> dict[str, Any]:
    try:
        if data == "-":
            data = sys.stdin.read()
        elif data.startswith("@"):
            data = Path(data[1:]).read_text(encoding="utf-8")
        payload = json.loads(data)
    except OSError as error:
        raise click.BadParameter(f"can't read {data[1:]}: {error.strerror}", param_hint="--data") from error
    except ValueError as error:
        raise click.BadParameter(f"this is no JSON: {error}", param_hint="--data") from error
    if not isinstance(payload, dict):
        raise click.BadParameter(
            'give the event\'s fields as one JSON object: {"order_id": "o_1"}', param_hint="--data"
        )
    fields = cast("dict[str, Any]", payload)
    if fields.get("tenant_id", tenant) != tenant:
        raise click.BadParameter(f"its tenant_id is another than --tenant {tenant}: leave it out", param_hint="--data")
    return {"tenant_id": tenant, **fields}


async def _send(
    jobs: Jobs, event: str, payload: dict[str, Any], options: dict[str, Any], wait: bool, timeout: float | None
) -> tuple[Sent, dict[str, Any]]:
    sent = await jobs.send(event, payload, **options)
    if not wait:
        return sent, {}
    if sent.run_ids and not await jobs.provider.store.reads.workers():
        say("No worker is running: start one with cgk jobs dev or cgk jobs work. Waiting …", fg="yellow")

    async def outcome_of(run_id: str) -> Any:
        try:
            return await jobs.runs.wait(run_id, timeout)
        except (RunFailed, RunCancelled, RunExpired, WaitTimeout) as error:
            return error

    outcomes = await asyncio.gather(*map(outcome_of, sent.run_ids))
    return sent, dict(zip(sent.run_ids, outcomes, strict=True))


def _ending(run_id: str, outcome: Any) -> dict[str, Any]:
    if isinstance(outcome, JobsError):
        states: dict[type[JobsError], str] = {RunFailed: "failed", RunCancelled: "cancelled", RunExpired: "expired"}
        return {"id": run_id, "state": states.get(type(outcome)), "error": str(outcome)}
    return {"id": run_id, "state": "completed", "result": outcome}


def _report(sent: Sent, outcomes: dict[str, Any], wait: bool) -> None:
    if sent.status == "refused":
        return
    if not sent.run_ids:
        say("Stored, but no task listens to it: start the application that has one, then send again.", fg="yellow")
    elif sent.status == "duplicate":
        say("Sent before with this key: these are the runs there are.")
    for run_id in sent.run_ids:
        outcome = outcomes.get(run_id)
        if not wait:
            result(run_id)
        elif not isinstance(outcome, JobsError):
            result(f"{run_id}\t{printable(compact(outcome))}")
