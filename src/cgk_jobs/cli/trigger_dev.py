"""``cgk jobs trigger-dev generate``: the TypeScript project that Trigger.dev runs for this application."""

from __future__ import annotations

from pathlib import Path

import click

from cgk_jobs.cli.application import opened_application, read_settings
from cgk_jobs.cli.console import printable, result, say
from cgk_jobs.cli.errors import Failure
from cgk_jobs.cli.options import app_option
from cgk_jobs.providers.trigger_dev.project import MACHINES, ProjectOptions, project_files
from cgk_jobs.providers.trigger_dev.writing import Difference, compare, write

__all__ = ["trigger_dev"]


@click.group("trigger-dev")
def trigger_dev() -> None:
    """Work with Trigger.dev."""


@trigger_dev.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("trigger-dev"), show_default=True,
              metavar="DIR", help="Where the project is, or is to be.")  # fmt: skip
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 if the project is not what it should be.")
@click.option("--concurrency", type=click.IntRange(min=1), default=25, show_default=True, help="Calls of a queue at a time, for each tenant.")  # fmt: skip
@click.option("--machine", type=click.Choice(MACHINES), default="micro", show_default=True, help="What the calls run on at Trigger.dev.")  # fmt: skip
@click.option("--schedules", is_flag=True, help="A schedule there for each of the application's, not one clock alone.")
@click.option("--force", is_flag=True, help="Overwrite files, too, that were changed by hand or not generated.")
@app_option
def generate(
    *, out: Path, check: bool, concurrency: int, machine: str, schedules: bool, force: bool, app: str | None
) -> None:
    """Write the project of this application's tasks, and show what changes, as a unified diff.

    One task for each of the application's; the same tasks give the same files. Give the same options each time.
    """
    wanted = _files(app, concurrency, machine, schedules)
    difference = compare(out, wanted)
    if difference.diff:
        result(printable(difference.diff.rstrip("\n"), keep="\n\t"))
    for path in difference.left:
        say(f"{out / path} is not generated any more; it was changed since, so it is left", fg="yellow")
    if check:
        if difference:
            raise Failure(
                f"{out} is not what the application asks for: run cgk jobs trigger-dev generate, and deploy it"
            )
        say(f"{out} is what the application asks for.")
        return
    if difference.foreign and not force:
        names = ", ".join(str(out / path) for path in difference.foreign)
        raise Failure(
            f"{names}: changed by hand, or not generated; nothing was written. Move the changes elsewhere, or give --force"
        )
    if not difference:
        say(f"{out} is what the application asks for.")
        return
    write(out, wanted, difference)
    _say_done(out, difference)


def _files(app: str | None, concurrency: int, machine: str, schedules: bool) -> dict[str, str]:
    from cgk_jobs.providers.planning import plan_of
    from cgk_jobs.providers.trigger_dev.settings import project_ref

    settings = read_settings()
    with opened_application(app) as jobs:
        plan = plan_of(jobs.tasks, app or settings.app or "default", settings.public_url)
    project = project_ref(settings.values)
    return project_files(plan, ProjectOptions(project, concurrency, machine, schedules))


def _say_done(out: Path, difference: Difference) -> None:
    removed = f", {len(difference.obsolete)} removed" if difference.obsolete else ""
    say(f"{len(difference.changed)} files written{removed}. Deploy it: {out / 'README.md'} says how.")
