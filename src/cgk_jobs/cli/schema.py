"""``cgk jobs schema``: the ledger's tables, printed or compared with a file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import click

from cgk_jobs.cli.application import read_settings
from cgk_jobs.cli.console import result, say, show_json
from cgk_jobs.cli.errors import Failure, NotReady
from cgk_jobs.cli.options import json_option
from cgk_jobs.cli.tables import show_fields

__all__ = ["schema"]


@click.group()
def schema() -> None:
    """Print the ledger's schema, or check that a ledger has it."""


def _migrations() -> list[Path]:
    from cgk_jobs.engine.sqlite import database

    return sorted((Path(database.__file__).parent / "migrations").glob("*.sql"))


@schema.command("print")
def print_schema() -> None:
    """Print the SQL of every migration, in order."""
    for path in _migrations():
        result(f"-- {path.name}\n{path.read_text(encoding='utf-8').rstrip()}")


@schema.command()
@json_option
def check(*, as_json: bool) -> None:
    """Check the configured ledger: that it is one, undamaged, and of this version. Changes nothing."""
    from cgk_jobs.engine.sqlite.database import APPLICATION_ID

    path = read_settings().database
    wanted = len(_migrations())
    if not path.exists():
        raise NotReady(f"there is no ledger at {path} yet: make one with cgk setup:jobs")
    try:
        # Opened here and not by the engine, which would migrate it.
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            (mark,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise NotReady(f"{path} can't be read as a SQLite database: {error}") from error
    if mark != APPLICATION_ID:
        raise NotReady(f"{path} is no ledger: it belongs to another program")
    if as_json:
        show_json({"ledger": path, "version": version, "wanted": wanted, "intact": state == "ok"})
    else:
        show_fields([("ledger", path), ("version", version), ("wanted", wanted), ("intact", "yes" if state == "ok" else "no")])  # fmt: skip
    if state != "ok":
        raise Failure(f"{path} is damaged ({state}): restore a backup")
    if version > wanted:
        raise Failure(f"{path} has schema {version}, this version knows {wanted}: update cgk-jobs")
    if version < wanted:
        raise Failure(f"{path} has schema {version}, this version wants {wanted}: the next start migrates it")
    say("The ledger is in order.")
