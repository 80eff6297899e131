"""The command ``cgk``. What is heavy is imported by the commands that need it, when they run."""

from __future__ import annotations

import sys
from io import TextIOWrapper

import click

from cgk_jobs.cli.actions import cancel, replay, retry
from cgk_jobs.cli.bench import bench
from cgk_jobs.cli.demo import demo
from cgk_jobs.cli.dev import dev
from cgk_jobs.cli.doctor import doctor
from cgk_jobs.cli.errors import CommandGroup
from cgk_jobs.cli.events import events
from cgk_jobs.cli.mcp import mcp
from cgk_jobs.cli.migrate import migrate
from cgk_jobs.cli.providers import providers
from cgk_jobs.cli.queues import queues
from cgk_jobs.cli.runs import runs, show
from cgk_jobs.cli.schedules import schedules
from cgk_jobs.cli.schema import schema
from cgk_jobs.cli.send import send
from cgk_jobs.cli.setup import setup
from cgk_jobs.cli.tenants import tenants
from cgk_jobs.cli.token import token
from cgk_jobs.cli.trigger_dev import trigger_dev
from cgk_jobs.cli.vercel import vercel
from cgk_jobs.cli.work import work

__all__ = ["cgk", "main"]

_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=CommandGroup, context_settings=_HELP)
@click.version_option(package_name="cgk-jobs", prog_name="cgk")
def cgk() -> None:
    """Background jobs for multi-tenant Python.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not configured, 4 provider unreachable. Results go to stdout, messages
    to stderr.
    """


@cgk.group()
def jobs() -> None:
    """Run jobs, send events, look at runs and act on them."""


cgk.add_command(setup)
jobs.add_command(setup, "setup")
for _command in (
    bench, cancel, demo, dev, doctor, events, mcp, migrate, providers, queues, replay, retry, runs, schedules, schema, send, show, tenants,
    token, trigger_dev, vercel, work,
):  # fmt: skip
    jobs.add_command(_command)


def main() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that can't show a character gets its number; the command doesn't end half-way through a table.
            stream.reconfigure(errors="backslashreplace")
    cgk(prog_name="cgk")


if __name__ == "__main__":
    main()
