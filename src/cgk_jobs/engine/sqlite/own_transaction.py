"""A step's transaction on the user's own connection, where that leads to the ledger's own file."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cgk_jobs.clock import Clock
from cgk_jobs.engine.records import Claim
from cgk_jobs.engine.sqlite.journal import write_entry
from cgk_jobs.errors import InvalidEvent, Unsupported
from cgk_jobs.runtime.entries import JournalEntry

__all__ = ["own_transaction"]


class _Writer:
    def __init__(self, connection: sqlite3.Connection, claim: Claim, clock: Clock) -> None:
        self._connection = connection
        self._claim = claim
        self._clock = clock

    async def record(self, entry: JournalEntry) -> bool:
        """Journal the step on the user's connection."""
        name, result, place, ordered, undoable, failed, pending = entry
        return write_entry(
            self._connection, self._clock.micros(), self._claim, name, result, place,
            ordered=ordered, undoable=undoable, failed=failed, pending=pending,
        )  # fmt: skip


@asynccontextmanager
async def own_transaction(connection: Any, ledger: Path, claim: Claim, clock: Clock) -> AsyncGenerator[_Writer, None]:
    """Begin, commit at the end, roll back if the block raises. Raises ``Unsupported`` for any other database."""
    if not isinstance(connection, sqlite3.Connection) or not _same_file(connection, ledger):
        raise Unsupported(
            "ctx.step(connection=)",
            f"the SQLite ledger {ledger}",
            "A step commits together with your writes only in the ledger's own database: keep both in one PostgreSQL "
            "database, or leave connection= out and make the step's writes harmless when they are repeated.",
        )
    if connection.in_transaction:
        raise InvalidEvent("ctx.step(connection=…): a transaction is open on it already; commit or roll it back first")
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield _Writer(connection, claim, clock)
        connection.commit()
    except BaseException:
        connection.rollback()
        raise


def _same_file(connection: sqlite3.Connection, ledger: Path) -> bool:
    files = [row[2] for row in connection.execute("PRAGMA database_list") if row[1] == "main"]
    return bool(files and files[0]) and Path(files[0]).exists() and ledger.exists() and Path(files[0]).samefile(ledger)
