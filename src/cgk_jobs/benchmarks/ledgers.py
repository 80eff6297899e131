"""A fresh ledger for each measure: a file in a temporary folder, or a database of its own on a server."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

__all__ = ["BARE_TABLE", "fresh_ledger"]

BARE_TABLE = "cgk_jobs_bench"
"""A table beside the ledger for plain single-row inserts, to compare a send with."""


@contextlib.contextmanager
def fresh_ledger(server: str | None) -> Iterator[str]:
    """The address of an empty ledger, gone afterwards.

    ``server``: the address of any database of a PostgreSQL server, with a login that may make databases and roles; a
    database is made beside it, and measured through the worker's login. ``None``: SQLite.
    """
    if server is None:
        with tempfile.TemporaryDirectory(prefix="cgk-jobs-bench-") as folder:
            yield f"sqlite:///{Path(folder) / 'jobs.db'}"
        return
    name = f"cgk_jobs_bench_{uuid.uuid4().hex[:12]}"
    address = asyncio.run(_make(server, name))
    try:
        yield address
    finally:
        asyncio.run(_drop(server, name))


async def _make(server: str, name: str) -> str:
    import asyncpg

    from cgk_jobs.engine.postgres.logins import make_logins
    from cgk_jobs.engine.postgres.migrate import apply

    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
    address = _beside(server, name)
    await apply(address)
    worker, _ = await make_logins(address, new_passwords=True)
    connection = await asyncpg.connect(address)
    try:
        await connection.execute(
            f"CREATE TABLE public.{BARE_TABLE} (id bigserial PRIMARY KEY, tenant_id text, payload text)"
        )
        await connection.execute(f'GRANT INSERT, SELECT ON public.{BARE_TABLE} TO "{worker.name}"')
        await connection.execute(f'GRANT USAGE ON SEQUENCE public.{BARE_TABLE}_id_seq TO "{worker.name}"')
    finally:
        await connection.close()
    return worker.url


async def _drop(server: str, name: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await connection.close()


def _beside(server: str, name: str) -> str:
    parts = urlsplit(server)
    return urlunsplit(parts._replace(path=f"/{name}"))
