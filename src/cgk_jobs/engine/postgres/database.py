"""Statements on the ledger's database: pooled connections, transactions that are done again, errors that say what to do.

rows = await database.rows("list_workers", now)          # queries/list_workers.sql, in a transaction of its own

async def verb(work: Work) -> int:                        # several statements in one transaction
    ...
count = await database.retried(verb)
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import random
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

import asyncpg

from cgk_jobs.clock import Clock, monotonic
from cgk_jobs.engine.postgres.address import parse_address
from cgk_jobs.engine.postgres.migrate import check_schema
from cgk_jobs.engine.postgres.pool import Pool
from cgk_jobs.engine.postgres.refusals import DRIVER_ERRORS, is_conflict, is_pooler_trouble, refusal
from cgk_jobs.engine.postgres.roles import check_role
from cgk_jobs.engine.postgres.server import QUERIES, Connection, Server
from cgk_jobs.errors import ProviderUnavailable

__all__ = ["QUERIES", "Check", "Database", "Outdated", "Work"]

T = TypeVar("T")

_ATTEMPTS = 10
"""How often a transaction that met another one in its way is done."""
_inherited: list[object] = []
"""A forked child's copies of its parent's connections: kept, since closing them would speak on the parent's lines."""


class Outdated(Exception):
    """Part of a transaction was written by settings that have changed since: it is rolled back and done again."""


class Work(Protocol):
    """What statements run on: a pooled connection, or one inside a transaction. Statements are named by their file."""

    async def rows(self, name: str, *values: Any) -> list[asyncpg.Record]:
        """All rows."""
        ...

    async def row(self, name: str, *values: Any) -> asyncpg.Record | None:
        """The first row."""
        ...

    async def value(self, name: str, *values: Any) -> Any:
        """The first column of the first row; ``None`` without one."""
        ...

    async def run(self, name: str, *values: Any) -> int:
        """How many rows were changed."""
        ...


Check = Callable[[Work], Awaitable[None]]


class _Statements:
    """Work on one connection; raises asyncpg's own errors, for the transaction's owner to judge."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def rows(self, name: str, *values: Any) -> list[asyncpg.Record]:
        return await self._connection.fetch(QUERIES[name], *values)

    async def row(self, name: str, *values: Any) -> asyncpg.Record | None:
        return await self._connection.fetchrow(QUERIES[name], *values)

    async def value(self, name: str, *values: Any) -> Any:
        return await self._connection.fetchval(QUERIES[name], *values)

    async def run(self, name: str, *values: Any) -> int:
        tag = await self._connection.execute(QUERIES[name], *values)
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdecimal() else 0


class Database:
    """The database at ``url``. Opens nothing: each event loop gets a pool of at most ``size`` connections at first use.

    ``checks`` look at the database when a pool is made, and raise what is wrong: is it a ledger of this version, and the
    login the worker's?
    Safe for several threads, each with its loop; a forked child opens connections of its own.
    Every use may raise ``ProviderUnavailable`` and ``NotConfigured``, with what was refused and the remedy; an error in a
    statement itself (a violated constraint) is asyncpg's.
    """

    def __init__(
        self, url: str, clock: Clock, *, size: int = 10, checks: Sequence[Check] = (check_schema, check_role)
    ) -> None:
        self.address = parse_address(url)
        self.server = Server(self.address)
        self._url = url
        self._clock = clock
        self._size = size
        self._checks = tuple(checks)
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._pools: dict[int, Pool] = {}
        self._reserved: Database | None = None
        self.stirred_at = -math.inf
        """When there was last a sign of work (monotonic seconds)."""
        self._end = weakref.finalize(self, _close_pools, self._pools, self._pid)
        self._end.atexit = False

    @property
    def now(self) -> int | None:
        """``None``: the database's clock decides. With a manual clock its microseconds, for statements to take."""
        return self._clock.micros() if self._clock.manual else None

    @property
    def reserved(self) -> Database:
        """One connection kept for what must never wait behind work: heartbeats."""
        with self._lock:
            if self._reserved is None:
                self._reserved = Database(self._url, self._clock, size=1, checks=())
            return self._reserved

    def stir(self) -> None:
        """There is work: claims were handed out, or runs made ready. For those who can't be told by the database."""
        self.stirred_at = monotonic()

    async def rows(self, name: str, *values: Any) -> list[asyncpg.Record]:
        """All rows of one statement."""
        query = QUERIES[name]
        return await self._again(lambda connection: connection.fetch(query, *values))

    async def row(self, name: str, *values: Any) -> asyncpg.Record | None:
        """The first row of one statement."""
        query = QUERIES[name]
        return await self._again(lambda connection: connection.fetchrow(query, *values))

    async def value(self, name: str, *values: Any) -> Any:
        """The first column of the first row of one statement."""
        query = QUERIES[name]
        return await self._again(lambda connection: connection.fetchval(query, *values))

    async def run(self, name: str, *values: Any) -> int:
        """How many rows one statement changed."""
        return await self._again(lambda connection: _Statements(connection).run(name, *values))

    async def retried(self, verb: Callable[[Work], Awaitable[T]]) -> T:
        """Run ``verb`` in one READ COMMITTED transaction, and again, up to ten times, if another one was in its way.

        What ``verb`` raises rolls back. It may run several times, so it changes nothing but the database.
        """
        return await self._again(lambda connection: _in_transaction(connection, verb))

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Work, None]:
        """Statements that all see the database as of one moment, and only read. Done once: a reader may be half through."""
        pool = await self._pool()
        try:
            async with pool.connection() as connection:
                await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                try:
                    yield _Statements(connection)
                finally:
                    if not connection.is_closed() and connection.is_in_transaction():
                        await connection.execute("ROLLBACK")
        except DRIVER_ERRORS as error:
            found = refusal(error, self.address)
            if found is None:
                raise
            raise found from error

    async def _again(self, act: Callable[[Connection], Awaitable[T]]) -> T:
        # A statement or transaction that failed has changed nothing, so doing it again is safe; a connection lost on the
        # way is another matter: the commit may have been reached.
        attempt = 1
        while True:
            pool = await self._pool()
            try:
                async with pool.connection() as connection:
                    return await act(connection)
            except Outdated:
                if attempt == _ATTEMPTS:
                    raise ProviderUnavailable(
                        "the ledger's settings change faster than they are read: look for a process that restarts in a loop"
                    ) from None
            except DRIVER_ERRORS as error:
                again = is_conflict(error)
                if is_pooler_trouble(error) and self.server.pooled:
                    self.server.named = False
                    pool.renew()
                    again = True
                if not again or attempt == _ATTEMPTS:
                    found = refusal(error, self.address)
                    if found is None:
                        raise
                    raise found from error
            await asyncio.sleep(random.uniform(0, min(0.005 * 2**attempt, 0.5)))  # noqa: S311 - spreads, hides nothing
            attempt += 1

    async def _pool(self) -> Pool:
        if self._pid != os.getpid():
            self._after_fork()
        loop = asyncio.get_running_loop()
        pool = self._pools.get(id(loop))
        if pool is None or pool.loop is not loop or pool.closed:
            pool = await self._new_pool()
        if not pool.checked:
            await self._check(pool)
        return pool

    async def _new_pool(self) -> Pool:
        pool = Pool(self.server, self._size)
        await pool.start()
        with self._lock:
            for key in [key for key, old in self._pools.items() if old.closed or old.loop.is_closed()]:
                del self._pools[key]
            return self._pools.setdefault(id(pool.loop), pool)

    async def _check(self, pool: Pool) -> None:
        try:
            async with pool.connection() as connection:
                for check in self._checks:
                    await _in_transaction(connection, check)
        except DRIVER_ERRORS as error:
            found = refusal(error, self.address)
            if found is None:
                raise
            raise found from error
        pool.checked = True

    def _after_fork(self) -> None:
        self._end.detach()
        _inherited.extend((self._pools, self._reserved))
        self._lock = threading.Lock()
        self._pools = {}
        self._reserved = None
        self._pid = os.getpid()
        self._end = weakref.finalize(self, _close_pools, self._pools, self._pid)
        self._end.atexit = False

    def close(self) -> None:
        """Close every connection, those in use too; the next use opens again. From any thread."""
        if self._pid != os.getpid():
            self._after_fork()
        with self._lock:
            reserved = self._reserved
        if reserved is not None:
            reserved.close()
        _close_pools(self._pools, self._pid)


def _close_pools(pools: dict[int, Pool], pid: int) -> None:
    if pid == os.getpid():
        for pool in list(pools.values()):
            pool.close()
        pools.clear()


async def _in_transaction(connection: Connection, verb: Callable[[Work], Awaitable[T]]) -> T:
    await connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
    try:
        answer = await verb(_Statements(connection))
        tag = await connection.execute("COMMIT")
    except Exception:
        if not connection.is_closed() and connection.is_in_transaction():
            await connection.execute("ROLLBACK")
        raise
    if tag != "COMMIT":
        raise ProviderUnavailable("the transaction was rolled back: one of its statements had failed unnoticed")
    return answer
