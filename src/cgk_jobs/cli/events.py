"""``cgk jobs events``: the catalogue, the application's own, and their JSON Schemas."""

from __future__ import annotations

import click

from cgk_jobs.cli.application import opened_application, read_settings
from cgk_jobs.cli.console import show_json
from cgk_jobs.cli.options import app_option, json_option
from cgk_jobs.cli.tables import Column, show_table

__all__ = ["events"]


@click.command()
@click.argument("name", required=False)
@app_option
@json_option
def events(*, name: str | None, app: str | None, as_json: bool) -> None:
    """List the events there are, or print the JSON Schema of one.

    The application's own come first, where one is configured or given with --app.
    """
    from cgk_jobs.events import Event
    from cgk_jobs.events import registry as catalogue

    own: dict[str, type[Event]] = {}
    if app is not None or read_settings().app is not None:
        with opened_application(app) as jobs:
            own = {one: jobs.events[one] for one in jobs.events}
    if name is not None:
        show_json((own.get(name) or catalogue[name]).json_schema())
        return
    if as_json:
        show_json({"application": sorted(own), "catalogue": dict(catalogue.categories())})
        return
    rows = [(one, "application") for one in sorted(own)]
    rows += [(one, category) for category, names in catalogue.categories().items() for one in names if one not in own]
    show_table((Column("EVENT"), Column("CATEGORY")), rows)
