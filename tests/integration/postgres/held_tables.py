"""Statements that are held up at a table, so that something else can happen between two moments of a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")

_WAITING = """
    SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


@asynccontextmanager
async def held(
    admin_url: str, table: str, begin: Callable[[], Coroutine[Any, Any, T]]
) -> AsyncGenerator[asyncio.Task[T], None]:
    """The block runs while ``begin`` waits to write to ``table``; after it the task goes on."""
    with psycopg.connect(admin_url) as holder, psycopg.connect(admin_url, autocommit=True) as looker:
        holder.execute(f"LOCK TABLE {table} IN SHARE MODE".encode())
        task = asyncio.create_task(begin())
        while looker.execute(_WAITING, (table,)).fetchone() != (1,):
            assert not task.done(), "it never came to the table"
            await asyncio.sleep(0)
        try:
            yield task
        finally:
            holder.rollback()
