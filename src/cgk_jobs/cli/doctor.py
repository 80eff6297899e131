"""``cgk jobs doctor``: one screen of what is configured, reachable, behind, stuck and unsafe, each with its remedy."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from cgk_jobs.cli.application import opened
from cgk_jobs.cli.console import say, show_json
from cgk_jobs.cli.errors import Failure
from cgk_jobs.cli.options import app_option, json_option
from cgk_jobs.cli.tables import Column, show_table

if TYPE_CHECKING:
    from cgk_jobs.app import Jobs
    from cgk_jobs.checkup.findings import Finding

__all__ = ["doctor"]

MARKS = {"fine": "ok", "mind": "mind", "bad": "bad"}


@click.command()
@app_option
@json_option
def doctor(*, app: str | None, as_json: bool) -> None:
    """Say what is wrong here, and what to do about it. Changes nothing.

    Exit code 1 if something is bad: work is not done, or not safely.
    """
    with opened(app, prefer_app=True) as jobs:
        found = asyncio.run(_look(jobs))
    wrong = sum(one.level == "bad" for one in found)
    if as_json:
        show_json({"ok": wrong == 0, "findings": [one._asdict() for one in found]})
    else:
        columns = [
            Column("", colour=_colour),
            Column("SUBJECT"),
            Column("FOUND", shrinks=True),
            Column("REMEDY", shrinks=True),
        ]
        show_table(columns, [(MARKS[one.level], one.subject, one.text, one.remedy) for one in found])
    if wrong:
        raise Failure(f"{wrong} of this is bad; the remedies are beside it")
    if not as_json:
        minded = sum(one.level == "mind" for one in found)
        say(
            "All is well." if not minded else f"Work is done. {minded} to be mended.",
            fg="green" if not minded else "yellow",
        )


async def _look(jobs: Jobs) -> list[Finding]:
    from cgk_jobs.checkup.findings import bad
    from cgk_jobs.checkup.ledger import look_at_ledger
    from cgk_jobs.checkup.provider import look_at_provider
    from cgk_jobs.checkup.safety import look_at_settings
    from cgk_jobs.errors import JobsError

    settings = jobs.settings
    found = [] if settings is None else look_at_settings(settings)
    on_call = settings is not None and bool(settings.values.get("VERCEL_ENV"))
    try:
        found += await look_at_ledger(jobs.provider.store, jobs.clock, on_call=on_call)
        found += await look_at_provider(jobs.provider)
        if settings is not None and settings.postgres is not None:
            from cgk_jobs.checkup.postgres import look_at_postgres

            found += await look_at_postgres(settings.postgres.worker)
    except (JobsError, OSError) as error:
        found.append(bad("ledger", str(error), "see docs/postgres.md, and cgk jobs schema check"))
    return found


def _colour(cell: str) -> str | None:
    return {"ok": "green", "mind": "yellow", "bad": "red"}.get(cell)
