"""Connections of one event loop.

asyncpg's own pool asks the server to reset the session at each return, one more round trip for every statement; nothing
here leaves session state behind.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator
from types import TracebackType

from cgk_jobs.engine.postgres.server import Connection, Server
from cgk_jobs.errors import ProviderUnavailable

__all__ = ["PATIENCE", "Pool"]

PATIENCE = 30.0
"""Seconds a statement waits for a free connection."""
_FAREWELL = 5.0
"""Seconds an interrupted statement gets to be cancelled on the server."""


class Pool:
    """At most ``size`` connections, opened when needed, the last used first. Belongs to the running loop."""

    def __init__(self, server: Server, size: int) -> None:
        self.server = server
        self.loop = asyncio.get_running_loop()
        self._size = size
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._stale: set[Connection] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._farewells: set[asyncio.Task[None]] = set()
        self.closed = False
        self.checked = False
        self._guard: AsyncGenerator[None] | None = None

    async def start(self) -> None:
        """Have the connections closed when the loop ends: asyncio.run closes the loop's generators before the loop."""
        self._guard = self._until_the_loop_ends()
        await anext(self._guard)

    async def _until_the_loop_ends(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self.terminate()

    def connection(self) -> Lent:
        """Lend a connection for the length of an ``async with``. One that comes back in the middle of something is closed.

        Raises ``ProviderUnavailable`` when none is free within ``PATIENCE``, and what ``Server.connect`` does.
        """
        return Lent(self)

    def take_back(self, connection: Connection, error: BaseException | None) -> None:
        """The connection was used, and the use raised ``error`` or nothing."""
        if isinstance(error, (asyncio.CancelledError, TimeoutError)):
            # The next one would wait until the server has cancelled this statement, or for ever if it is gone.
            self._see_off(connection)
        self._give(connection)

    async def take(self) -> Connection:
        """A connection, which must be taken back."""
        give_up_at: float | None = None
        while True:
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    return connection
                self._open.discard(connection)
            if len(self._open) + self._opening < self._size:
                return await self._connect()
            give_up_at = give_up_at or self.loop.time() + PATIENCE
            handed = await self._wait(give_up_at)
            if handed is not None and not handed.is_closed():
                return handed
            if handed is not None:
                self._open.discard(handed)

    async def _connect(self) -> Connection:
        self._opening += 1
        try:
            connection = await self.server.connect()
        except BaseException:
            self._opening -= 1
            self._hand_on(None)
            raise
        self._opening -= 1
        if self.closed:
            connection.terminate()
            raise ProviderUnavailable(f"the connections to {self.server.address.shown} were closed meanwhile")
        self._open.add(connection)
        return connection

    async def _wait(self, give_up_at: float) -> Connection | None:
        # Answered with a connection, or with None: there is room to open one.
        waiter: asyncio.Future[Connection | None] = self.loop.create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout_at(give_up_at):
                return await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                # Answered in the moment of giving up.
                self._hand_on(waiter.result())
            if isinstance(error, TimeoutError):
                raise ProviderUnavailable(
                    f"all {self._size} connections to {self.server.address.shown} were busy for {PATIENCE:g} s: look in "
                    "pg_stat_activity for a statement that hangs"
                ) from None
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(waiter)

    def _give(self, connection: Connection) -> None:
        if connection not in self._open:
            return  # seen off, or the pool was closed
        if connection.is_closed():
            self._open.discard(connection)
            self._hand_on(None)
        elif connection.is_in_transaction() or connection in self._stale:
            self._see_off(connection)
        else:
            self._hand_on(connection)

    def _hand_on(self, connection: Connection | None) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        if connection is not None:
            self._idle.append(connection)

    def _see_off(self, connection: Connection) -> None:
        # asyncpg asks the server to cancel the statement that was interrupted; closing waits for that.
        if connection not in self._open:
            return
        self._open.discard(connection)
        self._stale.discard(connection)
        self._hand_on(None)
        farewell = self.loop.create_task(self._close(connection))
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)

    @staticmethod
    async def _close(connection: Connection) -> None:
        with contextlib.suppress(Exception):
            await connection.close(timeout=_FAREWELL)

    def terminate(self) -> None:
        """Close every connection, those in use too. In the loop's thread, or when the loop doesn't run."""
        self.closed = True
        connections, self._open, self._idle, self._stale = self._open, set(), [], set()
        for connection in connections:
            # A loop that was closed without asyncio.run has nobody to tell.
            with contextlib.suppress(RuntimeError):
                connection.terminate()

    def renew(self) -> None:
        """Close the idle connections, and the others when they come back: they were opened for another kind of server."""
        connections, self._idle = self._idle, []
        for connection in connections:
            self._see_off(connection)
        self._stale.update(self._open)

    def close(self) -> None:
        """``terminate``, from any thread."""
        if self.loop.is_closed():
            self._open.clear()
        elif self.loop.is_running() and self.loop is not _running_loop():
            # A loop may end between the question and the call.
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self.terminate)
        else:
            self.terminate()


class Lent:
    """A connection of a pool, lent. A class, since a generator costs every statement twice as much."""

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Connection:
        self._connection = await self._pool.take()
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.take_back(self._connection, error)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
