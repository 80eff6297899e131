"""The heartbeat process: ``python -m cgk_jobs.engine.postgres.heartbeat``, started by ``heart.py``.

Renews the leases of the workers of the process that started it, every third of a lease, whatever that process does: also
while a handler holds its interpreter for minutes. It stops renewing while that process is stopped (``SIGSTOP``, a debugger),
and when that process has ended it ends the leases at once and then itself. Reads its orders from standard input, one JSON
object a line: first ``{"dsn": ..., "parent": pid}``, then ``{"worker": id, "lease": seconds}``, with ``null`` to leave a
worker's lease alone. Imports little: it is one more process beside every worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from cgk_jobs.clock import monotonic

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
    Orders = asyncio.Queue[dict[str, Any] | None]

__all__ = ["Heartbeat", "is_stopped", "main"]

_QUERIES = Path(__file__).parent / "queries"
_LOOK_EVERY = 1.0
"""Seconds between two looks at the parent where the system does not tell that it ended."""
_AGAIN_AFTER = 0.5
"""Seconds after which a renewal that failed is tried again."""
_FIRST_ORDER_WITHIN = 30.0
"""Seconds within which the parent says who it is: it does so at once, unless it has died before."""
_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


class Heartbeat:
    """Leases of the workers of process ``parent``, in seconds by worker."""

    def __init__(self, dsn: str, parent: int) -> None:
        self._dsn = dsn
        self._parent = parent
        self._leases: dict[int, float] = {}
        self._connection: Connection | None = None
        self._renew_at = 0.0

    async def run(self, orders: Orders) -> None:
        """Follow orders until they end (``None``), or the parent has."""
        while not self._orphaned():
            try:
                async with asyncio.timeout(max(0.0, min(self._renew_at - monotonic(), _LOOK_EVERY))):
                    order = await orders.get()
            except TimeoutError:
                await self._renew_if_due()
                continue
            if order is None:
                break
            self._follow(order)
        await self._end_leases()

    def _follow(self, order: dict[str, Any]) -> None:
        if order["lease"] is None:
            self._leases.pop(order["worker"], None)
        else:
            self._leases[order["worker"]] = order["lease"]
            self._renew_at = 0.0

    def _orphaned(self) -> bool:
        return os.name == "posix" and os.getppid() != self._parent

    async def _renew_if_due(self) -> None:
        if monotonic() < self._renew_at:
            return
        shortest = min(self._leases.values(), default=30.0)
        if not self._leases or is_stopped(self._parent):
            # A stopped worker's lease runs out; one that goes on before that has it renewed soon.
            self._renew_at = monotonic() + min(shortest / 3, _AGAIN_AFTER)
            return
        renewed = await self._say("renew_leases", shortest / 3)
        self._renew_at = monotonic() + (shortest / 3 if renewed else min(shortest / 3, _AGAIN_AFTER))

    async def _end_leases(self) -> None:
        if self._leases:
            give_up_at = monotonic() + max(self._leases.values())
            while not await self._say("end_leases", 5.0):
                if monotonic() > give_up_at:
                    break
                await asyncio.sleep(_AGAIN_AFTER)
        if self._connection is not None:
            with contextlib.suppress(*_FAILURES):
                await self._connection.close(timeout=1.0)

    async def _say(self, name: str, patience: float) -> bool:
        # Numbers of ours in the text, and no parameters: one message, which a pooler of any kind lets through.
        leases = ", ".join(f"({worker}, {round(lease * 1e6)})" for worker, lease in sorted(self._leases.items()))
        statement = (_QUERIES / f"{name}.sql").read_text(encoding="utf-8").format(leases=leases)
        try:
            async with asyncio.timeout(max(patience, 1.0)):
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(
                        self._dsn,
                        statement_cache_size=0,
                        server_settings={"application_name": "cgk_jobs heartbeat"},
                    )
                await self._connection.execute(statement)
        except _FAILURES:
            if self._connection is not None:
                self._connection.terminate()
                self._connection = None
            return False
        return True


def is_stopped(pid: int) -> bool:
    """Whether the system says that the process exists and is stopped; False where it doesn't tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    # The state follows the name, which stands in parentheses and may itself contain some.
    return text.rpartition(")")[2].split()[0] in ("T", "t")


def _read_orders(loop: asyncio.AbstractEventLoop, orders: Orders) -> None:
    # In a thread, as pipes of standard input can't be awaited everywhere; not by sys.stdin, whose lock a thread that waits
    # would hold when the process ends.
    buffer = b""
    while chunk := os.read(0, 65536):
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            loop.call_soon_threadsafe(orders.put_nowait, json.loads(line))
    loop.call_soon_threadsafe(orders.put_nowait, None)


def _watch(parent: int, loop: asyncio.AbstractEventLoop, orders: Orders) -> None:
    # A child the parent forked may hold the other end of the pipe open beyond the parent's end.
    if hasattr(os, "pidfd_open"):
        with contextlib.suppress(OSError):
            descriptor = os.pidfd_open(parent)

            def ended() -> None:
                loop.remove_reader(descriptor)
                orders.put_nowait(None)

            loop.add_reader(descriptor, ended)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    orders: Orders = asyncio.Queue()
    threading.Thread(target=_read_orders, args=(loop, orders), daemon=True).start()
    try:
        # Nobody is watched yet, and a child the parent forked may hold the pipe open.
        async with asyncio.timeout(_FIRST_ORDER_WITHIN):
            first = await orders.get()
    except TimeoutError:
        return
    if first is None:
        return
    _watch(first["parent"], loop, orders)
    await Heartbeat(first["dsn"], first["parent"]).run(orders)


def main() -> None:
    """Serve until the parent has ended. Signals meant for the worker, which drains for a while yet, are not ours."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, signal.SIG_IGN)
    asyncio.run(_serve())


if __name__ == "__main__":
    main()
