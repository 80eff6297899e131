"""``cgk jobs mcp``: a read-only server of the Model Context Protocol over standard input and output."""

from __future__ import annotations

import importlib.util

import click

from cgk_jobs.cli.application import opened
from cgk_jobs.cli.options import app_option
from cgk_jobs.errors import NotConfigured

__all__ = ["mcp"]


@click.command()
@click.option("--tenant", metavar="TENANT", help="Show this tenant alone.")
@click.option("--platform-reason", metavar="TEXT", help="Show all tenants, for this reason, which is logged.")
@app_option
def mcp(*, tenant: str | None, platform_reason: str | None, app: str | None) -> None:
    """Answer an agent's questions about runs, schedules, queues and tenants. It changes nothing.

    Payloads are shown with their secrets masked. It speaks on standard input and output: an agent's program starts it.
    """
    if (tenant is None) == (platform_reason is None):
        raise click.UsageError("whose runs? Give --tenant TENANT, or --platform-reason TEXT for those of all tenants")
    if importlib.util.find_spec("mcp") is None:
        raise NotConfigured("cgk jobs mcp needs the package mcp: pip install 'cgk-jobs[mcp]'")
    from cgk_jobs.api.agents import agent_server

    with opened(app, prefer_app=True) as jobs:
        agent_server(jobs, tenant, platform_reason or "").run("stdio")
