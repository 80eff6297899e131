"""``cgk jobs tenants``: who there is."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from cgk_jobs.cli.application import opened
from cgk_jobs.cli.console import say, show_json
from cgk_jobs.cli.formats import moment
from cgk_jobs.cli.options import ListByDefault, app_option, json_option
from cgk_jobs.cli.tables import Column, show_table
from cgk_jobs.cli.tenant_data import export, purge
from cgk_jobs.cli.tenant_limits import limit, tenant_argument, usage

__all__ = ["tenants"]

_COLUMNS = (
    Column("TENANT", shrinks=True),
    Column("ADDED"),
    Column("ZONE", optional=2),
    Column("SHARE", right=True),
    Column("AT ONCE", right=True, optional=4),
    Column("RATE", optional=5),
    Column("PAUSED", optional=1, colour=lambda _: "yellow"),
    Column("SINCE", optional=3),
)


@click.group(cls=ListByDefault)
def tenants() -> None:
    """List tenants; add, remove, pause, resume and limit them; see what they use; export and purge them."""


@tenants.command("list")
@app_option
@json_option
def list_tenants(*, app: str | None, as_json: bool) -> None:
    """List every tenant added, seen, or named by the application's own list."""
    with opened(app, prefer_app=True) as jobs:
        found = asyncio.run(jobs.tenants.list())
    if as_json:
        show_json({"tenants": found})
        return
    if not found:
        say("There are no tenants yet: cgk jobs tenants add TENANT")
        return
    rows: list[tuple[object, ...]] = []
    for one in found:
        rate = None if one.rate is None else f"{one.rate.n} in {one.rate.seconds:g} s"
        rows.append(
            (one.id, "yes" if one.added else "no", one.timezone, f"{one.weight:g}", one.concurrency, rate,
             "paused" if one.paused else None, moment(one.since))
        )  # fmt: skip
    show_table(_COLUMNS, rows)


@tenants.command()
@tenant_argument
@click.option("--timezone", metavar="ZONE", help="For its schedules, for example Europe/Berlin.")
@click.option("--share", "weight", type=float, help="Its share against the others; 1 is the default.")
@app_option
@json_option
def add(*, tenant_id: str, timezone: str | None, weight: float | None, app: str | None, as_json: bool) -> None:
    """Add a tenant to those schedules run for; again to change it."""
    with opened(app, create=True) as jobs:
        asyncio.run(jobs.tenants.add(tenant_id, timezone=timezone, weight=weight))
    _done({"tenant": tenant_id, "added": True}, f"{tenant_id} is added.", as_json)


@tenants.command()
@tenant_argument
@app_option
@json_option
def remove(*, tenant_id: str, app: str | None, as_json: bool) -> None:
    """Take a tenant out of those schedules run for. Its runs and settings stay."""
    with opened(app) as jobs:
        asyncio.run(jobs.tenants.remove(tenant_id))
    _done({"tenant": tenant_id, "added": False}, f"Schedules don't run for {tenant_id} any more.", as_json)


@tenants.command()
@tenant_argument
@app_option
@json_option
def pause(*, tenant_id: str, app: str | None, as_json: bool) -> None:
    """Start no more runs of a tenant. Running ones end; sends are stored."""
    with opened(app) as jobs:
        asyncio.run(jobs.tenants.pause(tenant_id))
    _done({"tenant": tenant_id, "paused": True}, f"{tenant_id} is paused.", as_json)


@tenants.command()
@tenant_argument
@app_option
@json_option
def resume(*, tenant_id: str, app: str | None, as_json: bool) -> None:
    """Start a paused tenant's runs again."""
    with opened(app) as jobs:
        asyncio.run(jobs.tenants.resume(tenant_id))
    _done({"tenant": tenant_id, "paused": False}, f"{tenant_id} runs again.", as_json)


def _done(document: dict[str, Any], message: str, as_json: bool) -> None:
    if as_json:
        show_json(document)
    else:
        say(message)


for _command in (limit, usage, export, purge):
    tenants.add_command(_command)
