"""A worker's process for the tests of workflows: runs what there is until it is killed, or kills itself.

``python gathering.py LIMIT``, the address of the ledger on standard input. After ``LIMIT`` finished children it dies as by
kill -9, in the middle of the next one; 0: never. It prints a line for each child it begins.
"""

from __future__ import annotations

import os
import signal
import sys

from pydantic import BaseModel

from cgk_jobs import Context, Event, Jobs
from cgk_jobs.tasks.task import Task

__all__ = ["Gathered", "Number", "gatherer"]


class Gathered(Event, name="gathering.gathered"):
    """Calls a child for each number."""

    size: int = 0


class Number(BaseModel):
    """What a child doubles."""

    n: int


def gatherer(jobs: Jobs, limit: int = 0) -> Task[Number]:
    """Declare the tasks of the tests."""
    done = 0

    @jobs.task(id="double")
    async def double(payload: Number, ctx: Context) -> int:
        nonlocal done
        done += 1
        if limit:
            os.write(1, f"{payload.n} {ctx.attempt}\n".encode())
            if done > limit:
                os.kill(os.getpid(), signal.SIGKILL)
        return payload.n * 2

    @jobs.task(on=Gathered, id="gather")
    async def gather(event: Gathered, ctx: Context) -> list[int]:
        first = await ctx.step("first", int, "1")
        calls = [ctx.call(double, Number(n=number)) for number in range(event.size)]
        return [first, *await ctx.gather(*calls)]

    return double


if __name__ == "__main__":
    jobs = Jobs(sys.stdin.readline().strip())
    gatherer(jobs, int(sys.argv[1]))
    jobs.run(concurrency=4, lease=2.0)
