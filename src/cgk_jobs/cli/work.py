"""``cgk jobs work``: workers in this process, until it is told to stop."""

from __future__ import annotations

import logging

import click

from cgk_jobs.cli.application import opened_application
from cgk_jobs.cli.console import hear_logging, say

__all__ = ["work"]


@click.command()
@click.argument("app", metavar="[APP]", required=False)
@click.option("--concurrency", type=click.IntRange(min=1), default=100, show_default=True, help="Attempts at the same time.")  # fmt: skip
@click.option("--queues", metavar="A,B", help="Only these, in this order; default: all of the application's.")
@click.option("--lease", type=click.FloatRange(min=0, min_open=True), default=15.0, show_default=True, metavar="SECONDS",
              help="How long a stopped process is waited for before others take its runs.")  # fmt: skip
def work(*, app: str | None, concurrency: int, queues: str | None, lease: float) -> None:
    """Work for APP (module:attribute) until SIGTERM or Ctrl-C, then drain; a second signal ends at once."""
    chosen = [name for part in queues.split(",") if (name := part.strip())] if queues is not None else None
    if chosen == []:
        raise click.BadParameter("name at least one queue", param_hint="--queues")
    with opened_application(app) as jobs:
        hear_logging(logging.INFO, "%(levelname)s %(name)s: %(message)s")
        known = sorted({task.queue for task in jobs.tasks})
        for name in set(chosen or ()) - set(known):
            raise click.BadParameter(
                f"no task uses queue {name!r}; there are: {', '.join(known) or 'none'}", param_hint="--queues"
            )
        ledger = "" if jobs.settings is None else f", ledger {jobs.settings.ledger}"
        say(f"Working: {len(jobs.tasks)} tasks, queues {', '.join(chosen or known)}{ledger}. Ctrl-C drains.")
        jobs.run(concurrency=concurrency, queues=chosen, lease=lease)
        say("Stopped in order.")
