"""Purging a tenant: its rows, the settings that name it, and what deleted rows leave behind in the file.

SQLite does not overwrite what it deletes: text stays in free pages, and in the log. So at the end the file is written anew
and the log is emptied. That this is still to be done is itself noted in the file, so that a crash does not leave it undone.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from cgk_jobs.clock import monotonic
from cgk_jobs.engine.sqlite.configuration import Configuration
from cgk_jobs.engine.sqlite.database import QUERIES, is_busy
from cgk_jobs.engine.sqlite.limits import LimitBook
from cgk_jobs.engine.sqlite.tenant_tables import TenantTable, tenant_tables
from cgk_jobs.errors import ProviderUnavailable

__all__ = ["Eraser", "rewrite", "tables_with_rows"]

PATIENCE = 30.0
"""Seconds that writing the file anew waits for readers and writers."""
_SETTINGS = frozenset({"tenant_quotas", "quota_counters"})
"""Tables that keep sends out while the others are emptied."""


def tables_with_rows(db: sqlite3.Connection, tenant_id: str) -> list[TenantTable]:
    """The tables in which rows of a tenant are left. Read outside the write lock: some have to be looked through."""
    return [
        table
        for table in tenant_tables(db)
        if table.name not in _SETTINGS
        and db.execute(QUERIES["purge_has_rows"].format(table=table.name), (tenant_id,)).fetchone()[0]
    ]


class Eraser:
    """Deletes in the transaction of its owner."""

    def __init__(self, db: sqlite3.Connection, configuration: Configuration, limits: LimitBook) -> None:
        self._db = db
        self._configuration = configuration
        self._limits = limits

    def purge(self, tenant_id: str, tables: list[TenantTable], count: int, now: int) -> Mapping[str, int]:
        """Delete up to ``count`` rows of each of ``tables``; how many of each there were."""
        self._db.execute(QUERIES["owe_rewrite"], (now,))
        deleted: dict[str, int] = {}
        # Runs first, with what belongs to them: an attempt without its run can write nothing any more.
        runs = self._db.execute(QUERIES["purge_find_runs"], (tenant_id, count)).fetchall()
        if runs:
            seqs = json.dumps([seq for seq, _ in runs])
            for table in tables:
                if table.belongs_to_runs:
                    statement = QUERIES["purge_of_runs"].format(table=table.name)
                    deleted[table.name] = self._db.execute(statement, (seqs,)).rowcount
            self._db.execute(QUERIES["delete_runs"], (seqs,))
            deleted["runs"] = len(runs)
            for _, slots in runs:
                # Of a run that is still running, also those it shares with other tenants.
                self._limits.free(json.loads(slots or "[]"))
            return deleted
        for table in tables:
            if table.name == "limits":
                self._db.execute(QUERIES["purge_starts"], (tenant_id,))
            statement = QUERIES["purge_rows"].format(table=table.name, key=table.key)
            deleted[table.name] = self._db.execute(statement, (tenant_id, count)).rowcount
        return {name: rows for name, rows in deleted.items() if rows}

    def forget(self, tenant_id: str) -> None:
        """Forget the tenant's settings."""
        self._db.execute(QUERIES["move_ticks_past"], {"tenant": tenant_id})
        for name in ("remove_quotas", "remove_quota_counter", "remove_tenant"):
            self._db.execute(QUERIES[name], (tenant_id,))
        self._configuration.changed()


def rewrite(path: Path) -> None:
    """Write the file anew and empty its log, if that is owed. Raises ``ProviderUnavailable`` if somebody is in the way.

    Takes the time of copying the file, and its room on the disk twice more; writers wait meanwhile.
    """
    with closing(sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)) as db:
        if not db.execute(QUERIES["rewrite_owed"]).fetchone()[0]:
            return
        try:
            db.execute("VACUUM")
            _empty_log(db, path)
            db.execute(QUERIES["rewrite_done"])
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise ProviderUnavailable(
                    f"the ledger {path} could not be written anew: {error}. The rows are deleted; free some room on the disk "
                    "and purge again, so that nothing of them is left in the file"
                ) from error
            raise _in_the_way(path) from error


def _empty_log(db: sqlite3.Connection, path: Path) -> None:
    give_up_at = monotonic() + PATIENCE
    while True:
        busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy:
            return
        if monotonic() > give_up_at:
            raise _in_the_way(path)
        time.sleep(0.01)


def _in_the_way(path: Path) -> ProviderUnavailable:
    return ProviderUnavailable(
        f"the ledger {path} could not be written anew: another process has been reading or writing it for {PATIENCE:g} s. "
        "The rows are deleted; end it (an export, a backup) and purge again, so that nothing of them is left in the file"
    )
