"""``cgk jobs schema``: the ledger's tables, printed, made, or compared with what they should be."""

from __future__ import annotations

import click

from cgk_jobs.cli.application import read_settings
from cgk_jobs.cli.console import result
from cgk_jobs.cli.options import json_option
from cgk_jobs.cli.schema_apply import apply_schema

__all__ = ["schema"]


@click.group()
def schema() -> None:
    """Print the ledger's schema, apply it to PostgreSQL, or check that a ledger has it."""


schema.add_command(apply_schema, "apply")


@schema.command("print")
@click.option(
    "--provider", type=click.Choice(["embedded", "postgres"]), help="Whose; default: the configured ledger's."
)
@click.option("--roles", "prefix", metavar="PREFIX", default="cgk_jobs", show_default=True, help="Begins the names of PostgreSQL's roles.")  # fmt: skip
def print_schema(*, provider: str | None, prefix: str) -> None:
    """Print the SQL of every migration, in order. For PostgreSQL psql can run it."""
    from cgk_jobs.settings import admin_address

    if provider == "postgres" or (provider is None and (admin_address() or read_settings().postgres)):
        from cgk_jobs.engine.postgres.migrate import render
        from cgk_jobs.engine.postgres.roles import Roles

        result(render(Roles(prefix)).rstrip())
        return
    from cgk_jobs.cli.schema_check import file_migrations

    for path in file_migrations():
        result(f"-- {path.name}\n{path.read_text(encoding='utf-8').rstrip()}")


@schema.command()
@click.option("--database-url", metavar="URL", help="A PostgreSQL ledger; default: the configured one.")
@json_option
def check(*, database_url: str | None, as_json: bool) -> None:
    """Check the configured ledger, changing nothing: that it is one and of this version; in SQLite, that it is undamaged;
    in PostgreSQL, that the wall between tenants stands."""
    from cgk_jobs.cli.schema_check import check_file, check_postgres
    from cgk_jobs.settings import admin_address

    address = database_url or admin_address()
    if address is None:
        settings = read_settings()
        address = None if settings.postgres is None else settings.postgres.worker
        if settings.database is not None:
            check_file(settings.database, as_json=as_json)
    if address is not None:
        check_postgres(address, as_json=as_json)
