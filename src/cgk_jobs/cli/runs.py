"""``cgk jobs runs`` and ``show``: what ran, and how."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from cgk_jobs.cli.application import opened
from cgk_jobs.cli.console import is_terminal, printable, result, say, show_json, styled
from cgk_jobs.cli.formats import compact, duration, elapsed, moment
from cgk_jobs.cli.options import app_option, json_option, scope, since_moment, tenant_options
from cgk_jobs.cli.tables import Column, show_fields, show_table, state_colour

if TYPE_CHECKING:
    from cgk_jobs.app import Jobs
    from cgk_jobs.runs import Run, StepView

__all__ = ["runs", "show"]

SHOWN = 100
"""Called runs that are shown with a run."""
STATES = ("scheduled", "queued", "running", "retrying", "waiting", "completed", "failed", "cancelled", "expired")

_COLUMNS = (
    Column("RUN"),
    Column("TENANT", shrinks=True),
    Column("TASK", shrinks=True),
    Column("STATE", colour=state_colour),
    Column("CREATED", optional=1),
    Column("ATTEMPT", right=True, optional=4),
    Column("TOOK", right=True, optional=2),
    Column("ERROR", shrinks=True, optional=3),
)


@click.command()
@tenant_options
@click.option("--task", metavar="ID", help="Only runs of this task.")
@click.option("--event", metavar="NAME", help="Only runs of this event.")
@click.option("--state", type=click.Choice(STATES), help="Only runs in this state.")
@click.option("--tag", help="Only runs with this tag.")
@click.option("--queue", help="Only runs of this queue.")
@click.option("--parent", "parent_id", metavar="RUN", help="Only runs this one called.")
@click.option("--since", metavar="WHEN", help="Only runs created since then: 30m, 2h, 7d, or an ISO 8601 datetime.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many at most.")
@click.option("--cursor", help="Go on after a page: the cursor that page ended with.")
@app_option
@json_option
def runs(
    *, tenant: str | None, all_tenants: bool, since: str | None, app: str | None, as_json: bool, **filters: Any
) -> None:
    """List runs, newest first."""
    from cgk_jobs.run_documents import run_document

    whose = scope(tenant, all_tenants, "runs")
    with opened(app) as jobs, whose:
        page = asyncio.run(jobs.runs.list(since=since_moment(since, jobs.clock), **filters))
    if as_json:
        show_json({"runs": [run_document(run) for run in page], "next_cursor": page.next_cursor})
        return
    if not page.runs:
        say("There are no such runs.")
        return
    show_table(_COLUMNS, map(_row, page))
    if page.next_cursor is not None:
        say(f"There are more: --cursor {page.next_cursor}", dim=True)


def _row(run: Run) -> tuple[object, ...]:
    return (
        run.id, run.tenant_id, run.task, run.state, moment(run.created_at), run.attempt, duration(elapsed(run)), run.error,
    )  # fmt: skip


@click.command()
@click.argument("run_id", metavar="RUN")
@tenant_options
@click.option("--raw", is_flag=True, help="Show the payload as it is stored, secrets too.")
@app_option
@json_option
def show(*, run_id: str, tenant: str | None, all_tenants: bool, raw: bool, app: str | None, as_json: bool) -> None:
    """Show a run: payload, result, steps, the runs it called, attempts and log.

    The code of its event says which fields are secret. Where it is not at hand (no application is configured and none is
    given with --app), the payload is shown with --raw only.
    """
    from cgk_jobs.run_documents import masked_payload, masked_step, run_document

    whose = scope(tenant, all_tenants, "show")
    with opened(app, prefer_app=True) as jobs, whose:
        run, children = asyncio.run(_read(jobs, run_id))
        payload = run.payload if raw else masked_payload(jobs, run)
        if not raw:
            run = replace(run, steps=tuple(masked_step(jobs, step) for step in run.steps))
    if as_json:
        show_json(run_document(run, payload=payload, whole=True) | {"children": [child.id for child in children]})
        return
    show_fields(
        (
            ("run", run.id),
            ("tenant", run.tenant_id),
            ("task", run.task),
            ("event", run.event),
            ("called by", run.parent_id),
            ("replay of", run.replay_of),
            ("state", run.state),
            ("held by", run.held_by),
            ("undone for", run.undoing),
            ("queue", run.queue),
            ("priority", run.priority or None),
            ("attempt", run.attempt),
            ("tags", ", ".join(run.tags)),
            ("created", moment(run.created_at)),
            ("due", moment(run.due_at)),
            ("started", moment(run.started_at)),
            ("finished", moment(run.finished_at)),
            ("took", duration(elapsed(run))),
            ("payload", "hidden: its event's code is not at hand; --app or --raw" if payload is None else compact(payload)),
            ("progress", None if run.progress is None else compact(run.progress)),
            ("metadata", compact(run.metadata) if run.metadata else None),
            ("events", run.events if run.events > 1 else None),
            ("result", None if run.result is None else compact(run.result)),
            ("error", run.error),
        )
    )  # fmt: skip
    _section(
        "steps", [(step.name, _standing(step), moment(step.finished_at), compact(step.result)) for step in run.steps]
    )
    _section("children", [(child.id, child.task, child.state, child.error) for child in children])
    if len(children) == SHOWN:
        say(f"It called more: cgk jobs runs --parent {run.id}", dim=True)
    _section("attempts", [(str(one.attempt), one.outcome, moment(one.ended_at), one.error) for one in run.attempts])
    _section("log", [(moment(line.at), str(line.attempt), line.level, line.message) for line in run.log])


_HEADS = {
    "steps": (Column("STEP"), Column("STATE"), Column("AT"), Column("RESULT", shrinks=True)),
    "children": (Column("CALLED"), Column("TASK"), Column("STATE", colour=state_colour), Column("ERROR", shrinks=True)),
    "attempts": (Column("ATTEMPT", right=True), Column("OUTCOME"), Column("ENDED"), Column("ERROR", shrinks=True)),
    "log": (Column("AT"), Column("ATTEMPT", right=True), Column("LEVEL"), Column("MESSAGE", shrinks=True)),
}


def _section(name: str, rows: list[tuple[Any, ...]]) -> None:
    if not rows:
        return
    if is_terminal(sys.stdout):
        result("")
        result(styled(name, sys.stdout, bold=True, fg="cyan"))
        show_table(_HEADS[name], rows)
        return
    for row in rows:
        result("\t".join((name, *(printable(str(cell or "")) for cell in row))))


async def _read(jobs: Jobs, run_id: str) -> tuple[Run, tuple[Run, ...]]:
    """A run, and the runs it called, the first of them first."""
    run = await jobs.runs.get(run_id)
    return run, (await jobs.runs.list(parent_id=run_id, limit=SHOWN)).runs[::-1]


def _standing(step: StepView) -> str:
    return "pending" if step.pending else "failed" if step.failed else "done"
