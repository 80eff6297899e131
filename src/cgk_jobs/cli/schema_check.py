"""``cgk jobs schema check``: what a ledger has, compared with what this version wants."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from cgk_jobs.cli.console import say, show_json
from cgk_jobs.cli.errors import Failure, NotReady
from cgk_jobs.cli.tables import Column, show_fields, show_table

if TYPE_CHECKING:
    from cgk_jobs.engine.postgres.catalogue import Problem
    from cgk_jobs.engine.postgres.migrate import Status

__all__ = ["check_file", "check_postgres", "file_migrations"]


def file_migrations() -> list[Path]:
    """The migrations of a SQLite ledger, in order."""
    from cgk_jobs.engine.sqlite import database

    return sorted((Path(database.__file__).parent / "migrations").glob("*.sql"))


def check_file(path: Path, *, as_json: bool) -> None:
    """Check a SQLite ledger. Raises ``NotReady`` where there is none, ``Failure`` for a damaged or another version's."""
    from cgk_jobs.engine.sqlite.database import APPLICATION_ID, serves

    wanted = len(file_migrations())
    if not path.exists():
        raise NotReady(f"there is no ledger at {path} yet: make one with cgk setup:jobs")
    try:
        # Opened here and not by the engine, which would migrate it.
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            (mark,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            too_old = mark == APPLICATION_ID and not serves(connection, version, wanted)
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
    if too_old:
        raise Failure(
            f"{path} has schema {version}, this version knows {wanted} and is too old for it: update cgk-jobs"
        )
    if version < wanted:
        raise Failure(f"{path} has schema {version}, this version wants {wanted}: the next start migrates it")
    say("The ledger is in order.")


def check_postgres(url: str, *, as_json: bool) -> None:
    """Check a PostgreSQL ledger with any of its logins but a tenant's. Raises ``NotReady``, ``Failure``, ``ProviderUnavailable``."""
    from cgk_jobs.engine.postgres.address import parse_address

    shown = parse_address(url).shown
    found, problems = asyncio.run(_look(url))
    if as_json:
        show_json(
            {
                "ledger": shown,
                "version": found.applied,
                "wanted": found.expected,
                "schema": list(found.problems),
                "wall": [
                    {"object": one.object, "problem": one.what, "remedy": one.remedy, "severe": one.severe}
                    for one in problems
                ],
            }
        )
    else:
        show_fields([("ledger", shown), ("version", found.applied), ("wanted", found.expected)])
        if problems:
            columns = [Column("", colour=_colour), Column("OBJECT"), Column("PROBLEM", shrinks=True), Column("REMEDY", shrinks=True)]  # fmt: skip
            show_table(columns, [(_weight(one), one.object, one.what, one.remedy) for one in problems])
    if found.applied == 0:
        raise NotReady(f"{shown}: {found.problems[0]}")
    severe = sum(one.severe for one in problems)
    if found.problems or severe:
        count = "a fault: see its remedy" if severe == 1 else f"{severe} faults: see their remedies"
        broken = [f"the wall between tenants has {count}"] if severe else []
        raise Failure("; ".join([*found.problems, *broken]))
    say("The ledger is in order, and the wall between tenants stands." + (" Do mind the advice." if problems else ""))


async def _look(url: str) -> tuple[Status, list[Problem]]:
    from cgk_jobs.clock import SystemClock
    from cgk_jobs.engine.postgres.catalogue import scan
    from cgk_jobs.engine.postgres.database import Database
    from cgk_jobs.engine.postgres.migrate import SCHEMA_VERSION, status

    found = await status(url)
    if found.applied != SCHEMA_VERSION:
        return found, []
    database = Database(url, SystemClock(), size=1, checks=())
    try:
        return found, await scan(database)
    finally:
        database.close()


def _weight(problem: Problem) -> str:
    return "fault" if problem.severe else "advice"


def _colour(cell: str) -> str | None:
    return {"fault": "red", "advice": "yellow"}.get(cell)
