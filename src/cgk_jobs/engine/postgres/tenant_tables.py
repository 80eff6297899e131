"""Which tables hold rows of tenants: asked of the catalogue, so that none a later version adds is forgotten."""

from __future__ import annotations

from typing import NamedTuple

from cgk_jobs.engine.postgres.database import QUERIES, Work

__all__ = ["TenantTable", "statement", "tenant_tables"]


class TenantTable(NamedTuple):
    """A table with a column ``tenant_id``, and the columns of its primary key."""

    name: str
    key: tuple[str, ...]


async def tenant_tables(work: Work) -> list[TenantTable]:
    """Every table with rows of tenants, but that of the tenants' own settings. A partition is reached by its parent."""
    return [TenantTable(row["name"], tuple(row["key"])) for row in await work.rows("tenant_tables")]


def statement(template: str, table: TenantTable, **parts: str) -> str:
    """The name from now on of a statement for this table. All its parts are names of the catalogue's."""
    key = f"{template}: {table.name} {'; '.join(parts.values())}"
    if key not in QUERIES:
        QUERIES[key] = QUERIES[template].format(table=table.name, key=", ".join(table.key), **parts)
    return key
