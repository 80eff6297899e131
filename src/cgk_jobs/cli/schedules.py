"""``cgk jobs schedules``: what runs when."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from cgk_jobs.cli.application import opened_application
from cgk_jobs.cli.console import result, say, show_json
from cgk_jobs.cli.formats import moment
from cgk_jobs.cli.options import ListByDefault, json_option, scope, tenant_options
from cgk_jobs.cli.tables import Column, show_table

if TYPE_CHECKING:
    from cgk_jobs.app import Jobs

__all__ = ["schedules"]

_COLUMNS = (
    Column("SCHEDULE", shrinks=True),
    Column("WHEN"),
    Column("ZONE", optional=2),
    Column("FOR", optional=3),
    Column("NEXT"),
    Column("LAST", optional=4),
    Column("PAUSED", optional=1, colour=lambda _: "yellow"),
)

_app = click.option("--app", metavar="MODULE:ATTRIBUTE", help="The application; default: [tool.cgk-jobs] app.")


@click.group(cls=ListByDefault)
def schedules() -> None:
    """List schedules; see when they run; pause, resume and trigger them."""


@schedules.command("list")
@_app
@json_option
def list_schedules(*, app: str | None, as_json: bool) -> None:
    """List the application's schedules, the next first."""
    with opened_application(app) as jobs:
        found = sorted(asyncio.run(jobs.schedules.list()), key=lambda one: (one.next_at, one.id))
    if as_json:
        show_json({"schedules": found})
        return
    if not found:
        say("The application has no schedules.")
        return
    show_table(
        _COLUMNS,
        (
            (one.id, one.expression, one.timezone, one.tenants, moment(one.next_at), moment(one.last_at),
             "paused" if one.paused else None)
            for one in found
        ),
    )  # fmt: skip


@schedules.command("next")
@click.argument("schedule_id", metavar="SCHEDULE")
@click.option("-n", "--count", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many moments.")
@click.option("--timezone", metavar="ZONE", help="In a tenant's zone, not the schedule's own.")
@_app
@json_option
def next_ticks(*, schedule_id: str, count: int, timezone: str | None, app: str | None, as_json: bool) -> None:
    """Print when a schedule runs next."""
    with opened_application(app) as jobs:
        moments = jobs.schedules.next_ticks(schedule_id, count, timezone=timezone)
    if as_json:
        show_json({"schedule": schedule_id, "next": moments})
        return
    for one in moments:
        result(moment(one))


@schedules.command()
@click.argument("schedule_id", metavar="SCHEDULE")
@_app
@json_option
def pause(*, schedule_id: str, app: str | None, as_json: bool) -> None:
    """Fire a schedule no more, for all tenants, until it is resumed."""
    with opened_application(app) as jobs:
        asyncio.run(jobs.schedules.pause(schedule_id))
    _done(schedule_id, True, as_json)


@schedules.command()
@click.argument("schedule_id", metavar="SCHEDULE")
@_app
@json_option
def resume(*, schedule_id: str, app: str | None, as_json: bool) -> None:
    """Fire a paused schedule again, from its next moment on."""
    with opened_application(app) as jobs:
        asyncio.run(jobs.schedules.resume(schedule_id))
    _done(schedule_id, False, as_json)


def _done(schedule_id: str, paused: bool, as_json: bool) -> None:
    if as_json:
        show_json({"schedule": schedule_id, "paused": paused})
        return
    say(f"{schedule_id} is paused." if paused else f"{schedule_id} runs again.")


@schedules.command()
@click.argument("schedule_id", metavar="SCHEDULE")
@tenant_options
@_app
@json_option
def trigger(*, schedule_id: str, tenant: str | None, all_tenants: bool, app: str | None, as_json: bool) -> None:
    """Run a schedule's task now, beside its ticks: for one tenant, or for all it runs for."""
    whose = scope(tenant, all_tenants, "schedules trigger")
    with opened_application(app) as jobs, whose:
        sent = asyncio.run(_trigger(jobs, schedule_id, tenant))
    if as_json:
        show_json({"schedule": schedule_id, "run_ids": sent})
        return
    for run_id in sent:
        result(run_id)


async def _trigger(jobs: Jobs, schedule_id: str, tenant: str | None) -> list[str]:
    # A run is routed by what the ledger knows of its task, which a process that never started has not told it.
    await jobs.declare()
    return [run_id for sent in await jobs.schedules.trigger(schedule_id, tenant_id=tenant) for run_id in sent.run_ids]
