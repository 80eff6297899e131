"""``cgk jobs migrate``: move an installation to another provider while it works."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from cgk_jobs.cli.application import opened
from cgk_jobs.cli.console import say, show_json
from cgk_jobs.cli.options import app_option, json_option

if TYPE_CHECKING:
    from cgk_jobs.app import Jobs
    from cgk_jobs.providers.moving import MoveReport

__all__ = ["migrate"]


@click.command()
@click.option("--to", "target", metavar="PROVIDER", required=True, help="The provider that is to wake runs.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what there is to move; change nothing.")
@click.option("--timeout", type=click.FloatRange(min=1), default=600.0, help="Seconds it may take; 600.")
@app_option
@json_option
def migrate(*, target: str, plan_only: bool, timeout: float, app: str | None, as_json: bool) -> None:
    """Move the wake-ups of live runs to another provider, while the application works.

    Both providers wake runs side by side until nothing is left at the old one; no run is moved, lost or run twice by it. If the
    command is stopped, run it again and it goes on; to undo it, migrate back. The settings of both providers must be there
    (cgk setup:jobs). Running processes follow within seconds; set JOBS_PROVIDER to the new one before they are next started.
    """
    with opened(app) as jobs:
        report = asyncio.run(_plan(jobs, target) if plan_only else _move(jobs, target, timeout, quiet=as_json))
    if as_json:
        show_json(asdict(report))
        return
    _show(report)


async def _plan(jobs: Jobs, target: str) -> MoveReport:
    from cgk_jobs.providers.moving import plan

    return await plan(jobs.mover(), target)


async def _move(jobs: Jobs, target: str, timeout: float, *, quiet: bool) -> MoveReport:
    from cgk_jobs.providers.moving import MoveReport, move

    report = MoveReport("", target)
    async for report in move(jobs.mover(), target, timeout=timeout):
        if not quiet and not report.done:
            say(f"{report.stage}: {report.left:,} wake-ups left at {report.source}, {report.withdrawn:,} taken back")
    return report


def _show(report: MoveReport) -> None:
    live = sum(report.runs.values())
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(report.runs.items()))
    say(f"Live runs: {live:,}{f' ({states})' if states else ''}.")
    for name, count in sorted(report.at.items()):
        say(
            f"{name}: {count.handed:,} wake-ups handed over, {count.unacknowledged:,} on the way, {count.refused:,} refused, "
            f"{count.overdue:,} overdue, {count.obsolete:,} to be taken back"
        )
    if not report.done:
        say(f"Runs are woken by {report.source}. To move to {report.target}: cgk jobs migrate --to {report.target}")
        return
    say(
        f"Runs are woken by {report.target}. Taken back: {report.withdrawn:,}; left to ring in vain: {report.let_ring:,}."
    )
