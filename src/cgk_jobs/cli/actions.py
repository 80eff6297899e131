"""``cgk jobs retry``, ``replay`` and ``cancel``."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from cgk_jobs.cli.application import opened
from cgk_jobs.cli.console import result, say, show_json
from cgk_jobs.cli.errors import Failure
from cgk_jobs.cli.options import app_option, json_option, scope, since_moment, tenant_options
from cgk_jobs.errors import DuplicateKey, InvalidEvent

__all__ = ["cancel", "replay", "retry"]

UNFINISHED = ("scheduled", "queued", "running", "retrying", "waiting")


@click.command()
@click.argument("run_id", metavar="RUN")
@tenant_options
@app_option
@json_option
def retry(*, run_id: str, tenant: str | None, all_tenants: bool, app: str | None, as_json: bool) -> None:
    """Start a run that failed, was cancelled or expired again. Finished steps stay finished."""
    whose = scope(tenant, all_tenants, "retry")
    with opened(app) as jobs, whose:
        try:
            asyncio.run(jobs.runs.retry(run_id))
        except (InvalidEvent, DuplicateKey) as error:
            # The command was right; the run is in another state, or another of its key is not done.
            raise Failure(str(error)) from error
    if as_json:
        show_json({"retried": run_id})
        return
    result(run_id)
    say("It waits for its first attempt again.")


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--from-step", metavar="STEP", help="Steps before this one answer from the old run's journal.")
@tenant_options
@app_option
@json_option
def replay(
    *, run_id: str, from_step: str | None, tenant: str | None, all_tenants: bool, app: str | None, as_json: bool
) -> None:
    """Make a new run of the same payload, and print its id."""
    whose = scope(tenant, all_tenants, "replay")
    with opened(app) as jobs, whose:
        run = asyncio.run(jobs.runs.replay(run_id, from_step=from_step))
    if as_json:
        from cgk_jobs.run_documents import run_document

        show_json({"replayed": run_id, "run": run_document(run)})
        return
    result(run.id)


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option("--tag", help="Cancel all runs with this tag that have not ended.")
@click.option("--task", metavar="ID", help="Only runs of this task.")
@click.option("--event", metavar="NAME", help="Only runs of this event.")
@click.option("--state", type=click.Choice(UNFINISHED), help="Only runs in this state.")
@click.option("--queue", help="Only runs of this queue.")
@click.option("--since", metavar="WHEN", help="Only runs created since then: 30m, 2h, 7d, or an ISO 8601 datetime.")
@click.option("--alone", is_flag=True, help="Leave the runs they called to themselves.")
@tenant_options
@app_option
@json_option
def cancel(
    *,
    run_id: str | None,
    since: str | None,
    alone: bool,
    tenant: str | None,
    all_tenants: bool,
    app: str | None,
    as_json: bool,
    **filters: Any,
) -> None:
    """Cancel a run, or all that the options find, with every run they called. Running ones are asked to stop."""
    if (run_id is None) == (since is None and not any(filters.values())):
        raise click.UsageError("name one RUN, or say which: --tag TAG, --task, --event, --state, --queue, --since")
    whose = scope(tenant, all_tenants, "cancel")
    with opened(app) as jobs, whose:
        count = asyncio.run(jobs.runs.cancel(run_id, tree=not alone, since=since_moment(since, jobs.clock), **filters))
    if as_json:
        show_json({"cancelled": count})
        return
    result(str(count))
    say("run cancelled" if count == 1 else "runs cancelled" if count else "Nothing to cancel: what there is has ended.")
