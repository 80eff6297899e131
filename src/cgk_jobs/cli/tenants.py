"""``cgk jobs tenants``: who there is, their shares and limits."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

import click

from cgk_jobs.cli.application import opened
from cgk_jobs.cli.console import say, show_json
from cgk_jobs.cli.formats import moment
from cgk_jobs.cli.options import ListByDefault, app_option, json_option
from cgk_jobs.cli.tables import Column, show_fields, show_table

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

_tenant = click.argument("tenant_id", metavar="TENANT")


@click.group(cls=ListByDefault)
def tenants() -> None:
    """List tenants; add, remove, pause, resume and limit them; see what they use."""


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
@_tenant
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
@_tenant
@app_option
@json_option
def remove(*, tenant_id: str, app: str | None, as_json: bool) -> None:
    """Take a tenant out of those schedules run for. Its runs and settings stay."""
    with opened(app) as jobs:
        asyncio.run(jobs.tenants.remove(tenant_id))
    _done({"tenant": tenant_id, "added": False}, f"Schedules don't run for {tenant_id} any more.", as_json)


@tenants.command()
@_tenant
@app_option
@json_option
def pause(*, tenant_id: str, app: str | None, as_json: bool) -> None:
    """Start no more runs of a tenant. Running ones end; sends are stored."""
    with opened(app) as jobs:
        asyncio.run(jobs.tenants.pause(tenant_id))
    _done({"tenant": tenant_id, "paused": True}, f"{tenant_id} is paused.", as_json)


@tenants.command()
@_tenant
@app_option
@json_option
def resume(*, tenant_id: str, app: str | None, as_json: bool) -> None:
    """Start a paused tenant's runs again."""
    with opened(app) as jobs:
        asyncio.run(jobs.tenants.resume(tenant_id))
    _done({"tenant": tenant_id, "paused": False}, f"{tenant_id} runs again.", as_json)


@tenants.command()
@_tenant
@click.option("--share", "weight", type=float, help="Its share against the others; 1 is the default.")
@click.option("--concurrency", type=click.IntRange(min=1), help="Runs at the same time, over all its tasks.")
@click.option("--rate", metavar="N/SECONDS", help="Starts per time, over all its tasks: 100/60.")
@click.option("--unlimited", is_flag=True, help="Take its limits away first.")
@app_option
@json_option
def limit(*, tenant_id: str, rate: str | None, app: str | None, as_json: bool, unlimited: bool, **options: Any) -> None:
    """Change a tenant's share or its limits, at once."""
    from cgk_jobs.tasks.policy import Rate

    parsed: Rate | None = None
    if rate is not None:
        starts, slash, seconds = rate.partition("/")
        try:
            parsed = Rate(int(starts), seconds=float(seconds if slash else 1), per="tenant")
        except ValueError as error:
            raise click.BadParameter(f"{rate!r}: write starts/seconds, for example 100/60 ({error})", param_hint="--rate") from error  # fmt: skip
    if parsed is None and not unlimited and all(value is None for value in options.values()):
        raise click.UsageError("nothing to change: give --share, --concurrency, --rate or --unlimited")
    with opened(app, create=True) as jobs:
        asyncio.run(jobs.tenants.limit(tenant_id, rate=parsed, unlimited=unlimited, **options))
        (now,) = [one for one in asyncio.run(jobs.tenants.list()) if one.id == tenant_id]
    _done(asdict(now), f"{tenant_id}'s limits are changed; they hold from now on.", as_json)


@tenants.command()
@_tenant
@app_option
@json_option
def usage(*, tenant_id: str, app: str | None, as_json: bool) -> None:
    """Count a tenant's runs by state."""
    with opened(app) as jobs:
        found = asyncio.run(jobs.tenants.usage(tenant_id))
    if as_json:
        show_json({"tenant": tenant_id, "states": found.states, "unfinished": found.unfinished})
        return
    show_fields([*sorted(found.states.items()), ("unfinished", found.unfinished)])


def _done(document: dict[str, Any], message: str, as_json: bool) -> None:
    if as_json:
        show_json(document)
    else:
        say(message)
