"""Which tables hold rows of tenants: asked of the database itself, so that none a later version adds is forgotten."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from cgk_jobs.engine.sqlite.database import QUERIES

__all__ = ["TenantTable", "tenant_tables"]


class TenantTable(NamedTuple):
    """A table with a column ``tenant_id``. ``key``: the columns of its primary key, joined by commas."""

    name: str
    key: str

    @property
    def belongs_to_runs(self) -> bool:
        """Its rows are found by the run they belong to, and only so."""
        return self.key.split(",")[0] == "run_seq"


def tenant_tables(db: sqlite3.Connection) -> list[TenantTable]:
    """Every table with rows of tenants, but that of the tenants' own settings."""
    return [TenantTable(*row) for row in db.execute(QUERIES["tenant_tables"])]
