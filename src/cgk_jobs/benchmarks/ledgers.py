"""A fresh ledger for each measure: a file in a temporary folder, or a database of its own on a server."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cgk_jobs.engine.postgres.scratch import ScratchLedger

__all__ = ["BARE_TABLE", "fresh_ledger"]

BARE_TABLE = "cgk_jobs_bench"
"""A table beside the ledger for plain single-row inserts, to compare a send with."""


@contextlib.contextmanager
def fresh_ledger(server: str | None) -> Generator[str, None, None]:
    """The address of an empty ledger, gone afterwards.

    ``server``: the address of any database of a PostgreSQL server, with a login that may make databases and roles; a
    database is made beside it, and measured through its worker's login. ``None``: SQLite.
    """
    if server is None:
        with tempfile.TemporaryDirectory(prefix="cgk-jobs-bench-") as folder:
            yield f"sqlite:///{Path(folder) / 'jobs.db'}"
        return
    from cgk_jobs.engine.postgres.scratch import drop_scratch, make_scratch

    ledger = asyncio.run(make_scratch(server, "bench"))
    try:
        asyncio.run(_make_bare_table(ledger))
        yield ledger.worker_url
    finally:
        asyncio.run(drop_scratch(server, ledger.name))


async def _make_bare_table(ledger: ScratchLedger) -> None:
    import asyncpg

    from cgk_jobs.engine.postgres.address import parse_address

    connection = await asyncpg.connect(parse_address(ledger.admin_url).dsn)
    try:
        await connection.execute(
            f"CREATE TABLE public.{BARE_TABLE} (id bigserial PRIMARY KEY, tenant_id text, payload text)"
        )
        await connection.execute(f'GRANT INSERT, SELECT ON public.{BARE_TABLE} TO "{ledger.worker}"')
        await connection.execute(f'GRANT USAGE ON SEQUENCE public.{BARE_TABLE}_id_seq TO "{ledger.worker}"')
    finally:
        await connection.close()
