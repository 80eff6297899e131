"""A worker's process for the tests of liveness: takes a seat, claims what is ready, and does what it is told.

``python beating.py LEASE ACT``, the address of the ledger on standard input. It prints its worker's number, then acts:
``wait`` reads on, ``hold`` keeps the interpreter until a line comes (no other thread of it runs meanwhile), ``fork`` leaves a
child behind that has everything it had open, ``leave`` gives the seat up at the next line.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys

from cgk_jobs.clock import SystemClock
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.engine.records import Appetite


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def heard() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(0, 1)
    return line


def hold_the_interpreter() -> None:
    # PyDLL keeps the lock that all threads of the interpreter need, as an extension does that never lets go of it.
    libc = ctypes.PyDLL(None)
    buffer = ctypes.create_string_buffer(1)
    say("holding")
    while buffer.raw != b"\n":
        libc.read(0, buffer, 1)


async def main(lease: float, act: str) -> None:
    store = PostgresStore(heard().decode().strip(), SystemClock())
    seat = await store.take_seat(("default",), 5, lease)
    await store.exchange(seat.id, [], Appetite(("default",), 5, {"sync": None}))
    if act == "fork" and os.fork() == 0:
        say(seat.id, os.getpid())
        os.read(0, 1)
        os._exit(0)
    if act != "fork":
        say(seat.id, os.getpid())
    if act == "hold":
        hold_the_interpreter()
    else:
        await asyncio.to_thread(heard)
    if act == "wait":
        say("alive" if await store.beat(seat.id) else "given up")
    await seat.leave()
    store.close()
    say("left")
    await asyncio.to_thread(heard)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), sys.argv[2]))
