"""``cgk jobs tenants export`` and ``purge``: everything of a tenant, given out or deleted."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict
from pathlib import Path

import click

from cgk_jobs.cli.application import opened
from cgk_jobs.cli.console import say, show_json
from cgk_jobs.cli.options import app_option, json_option
from cgk_jobs.cli.tenant_limits import tenant_argument

__all__ = ["export", "purge"]


@click.command()
@tenant_argument
@click.option("--to", "target", metavar="FILE", required=True, help="A file, which is replaced; - for standard output.")
@app_option
@json_option
def export(*, tenant_id: str, target: str, app: str | None, as_json: bool) -> None:
    """Write every row of a tenant as JSON lines, as of one moment."""
    if target == "-" and as_json:
        raise click.UsageError("--to - and --json both write to standard output: give a file")
    with opened(app) as jobs:
        to = sys.stdout if target == "-" else Path(target)
        try:
            found = asyncio.run(jobs.tenants.export(tenant_id, to))
        except OSError as error:
            raise click.BadParameter(f"{target} can't be written: {error}", param_hint="--to") from error
    if as_json:
        show_json(asdict(found))
    elif target != "-":
        say(f"{sum(found.rows.values()):,} rows of {tenant_id} are in {target} ({found.bytes:,} bytes).")


@click.command()
@tenant_argument
@click.option("--confirm", metavar="TENANT", help="The tenant's id again; without it the command asks for it.")
@click.option("--wait", type=click.FloatRange(min=0), default=30.0, help="Seconds running attempts get to end; 30.")
@app_option
@json_option
def purge(*, tenant_id: str, confirm: str | None, wait: float, app: str | None, as_json: bool) -> None:
    """Delete everything of a tenant from the ledger, its settings too. It can't be undone.

    Meanwhile its sends are refused. If the command is interrupted, run it again.
    """
    if confirm is None:
        if not sys.stdin.isatty():
            raise click.UsageError(f"everything of {tenant_id} will be deleted: confirm it with --confirm {tenant_id}")
        confirm = click.prompt(f"Everything of {tenant_id} will be deleted. Its id again", err=True)
    with opened(app) as jobs:
        found = asyncio.run(jobs.tenants.purge(tenant_id, confirm=confirm, wait=wait))
    if as_json:
        show_json(asdict(found))
        return
    say(f"{tenant_id} is purged: {sum(found.rows.values()):,} rows.")
    if found.abandoned:
        say(f"{found.abandoned} attempts had not ended; what they do outside the ledger goes on until they end.")
