"""``cgk jobs vercel generate``: what Vercel's clock must be told, in ``vercel.json``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from cgk_jobs.cli.application import opened_application, read_settings
from cgk_jobs.cli.console import result, say
from cgk_jobs.cli.errors import Failure
from cgk_jobs.cli.options import app_option
from cgk_jobs.cli.pyproject_file import difference, read_text, write_text

if TYPE_CHECKING:
    from cgk_jobs.app import Jobs

__all__ = ["vercel"]


@click.group()
def vercel() -> None:
    """What an application on Vercel needs besides its code."""


@vercel.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("vercel.json"), help="The file; vercel.json here.")
@click.option("--plan", type=click.Choice(["hobby", "pro"]), help="Yours at Vercel; JOBS_VERCEL_PLAN, else pro.")
@click.option("--every", type=click.Choice(["1", "2", "3", "4", "5", "6", "10", "12", "15", "20", "30", "60"]), default="1",
              help="Minutes between two rings; not on the Hobby plan.")  # fmt: skip
@click.option("--at", metavar="HH:MM", help="The time of the daily ring on the Hobby plan, UTC; 04:00.")
@click.option("--mount", metavar="PATH", help="Where jobs.asgi() is mounted; else the path of JOBS_PUBLIC_URL.")
@click.option("--write", is_flag=True, help="Write the file.")
@click.option("--check", is_flag=True, help="Exit with 1 if the file is not as it should be.")
@app_option
def generate(
    *,
    out: Path,
    plan: str | None,
    every: str,
    at: str | None,
    mount: str | None,
    write: bool,
    check: bool,
    app: str | None,
) -> None:
    """Merge the clock's entry into vercel.json, and say which schedules your plan can't keep.

    Shows what would change; --write changes it. All other keys of the file, and crons of others, stay.
    """
    from cgk_jobs.providers.vercel_cron.crons import entry, with_crons
    from cgk_jobs.providers.vercel_cron.settings import VercelPlan

    if write and check:
        raise click.UsageError("--write changes the file and --check does not: give one of them")
    settings = read_settings()
    chosen: VercelPlan = "hobby" if (plan or settings.values.get("JOBS_VERCEL_PLAN")) == "hobby" else "pro"
    if chosen == "hobby" and every != "1":
        raise click.UsageError("--every: on the Hobby plan the clock rings once a day; see --at")
    if chosen == "pro" and at is not None:
        raise click.UsageError("--at is for the Hobby plan; see --every")
    path = _mount(mount, settings.public_url)
    before = read_text(out)
    after = with_crons(before, entry(path, chosen, every=int(every), at=_time(at)))
    if chosen == "hobby":
        with opened_application(app) as jobs:
            _warn(jobs)
    if after == before:
        say(f"{out} is as it should be")
        return
    result("\n".join(difference(before, after, out.name)))
    if check:
        raise Failure(f"{out} is not as it should be: run cgk jobs vercel generate --write")
    if write:
        write_text(out, after)
        say(f"{out} written; it counts from the next deployment on")
    else:
        say("nothing was changed: --write does it")


def _mount(mount: str | None, public_url: str | None) -> str:
    if mount is None and public_url is None:
        raise click.UsageError("where is jobs.asgi() mounted? Set JOBS_PUBLIC_URL, or give --mount /jobs")
    path = urlsplit(public_url or "").path if mount is None else mount
    path = "/" + path.strip("/")
    return "" if path == "/" else path


def _time(at: str | None) -> tuple[int, int]:
    try:
        moment = datetime.strptime(at or "04:00", "%H:%M")  # noqa: DTZ007 - a time of day alone
    except ValueError:
        raise click.BadParameter(f"{at!r} is no time of day such as 04:30", param_hint="--at") from None
    return moment.hour, moment.minute


def _warn(jobs: Jobs) -> None:
    from cgk_jobs.clock import from_micros
    from cgk_jobs.providers.planning import plan_of
    from cgk_jobs.providers.vercel_cron.crons import too_frequent

    plan = plan_of(jobs.tasks, "", None)
    frequent = too_frequent(plan.ticks, from_micros(jobs.clock.micros()))
    say("On the Hobby plan the clock rings once a day, within the hour.")
    say("What is sent is begun at once if JOBS_PUBLIC_URL is set; delays and retries wait for the next send or ring.")
    if frequent:
        say(f"Schedules that run more often can't be kept ({len(frequent)}): {', '.join(frequent)}")
