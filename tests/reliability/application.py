"""The application whose processes the reliability scenarios stop, kill, fork and flood.

Its handlers do nothing but tell: each writes a line to a history file, which any process may append to and which survives
every kill. Where a scenario must hold a handler at a point, the handler waits for a file: a gate that the test opens.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from collections.abc import Awaitable
from pathlib import Path

from cgk_jobs import Context, Event, Jobs, Limit, Retry, StaleClaim
from cgk_jobs.app import DEFAULT_GRACE
from cgk_jobs.signals import CLAIM_LOST, Signal


class Quick(Event, name="reliability.quick"):
    """Work that is done at once."""

    number: int = 0


class Held(Event, name="reliability.held"):
    """Work that goes on until the gate of its attempt is open."""

    number: int = 0


class Stubborn(Event, name="reliability.stubborn"):
    """As ``Held``, yet deaf to cancellation; afterwards it writes by every way an attempt can."""


class Stepped(Event, name="reliability.stepped"):
    """Three steps."""


class Frozen(Event, name="reliability.frozen"):
    """Work inside C code that keeps the interpreter's lock until the test writes to its pipe."""


class Deadly(Event, name="reliability.deadly"):
    """Work that ends its own process."""


class Limited(Event, name="reliability.limited"):
    """Work under two limits."""

    number: int = 0


class History:
    """Lines that any process appends: in one piece, in the order of the appends, there after a kill -9."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "history"

    def write(self, *words: object) -> None:
        """Append a line."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, (" ".join(map(str, words)) + "\n").encode())
        finally:
            os.close(descriptor)

    def lines(self, *first: str) -> list[list[str]]:
        """The lines that begin with these words, split."""
        if not self.path.exists():
            return []
        found = [line.split(" ") for line in self.path.read_text().splitlines()]
        return [words for words in found if words[: len(first)] == list(first)]


class Application(Jobs):
    """Jobs on a folder. ``die_at`` names the point at which this process kills itself.

    The ledger is a file in the folder, or in the database at ``url``.
    """

    def __init__(self, folder: Path, url: str | None = None) -> None:
        super().__init__(database=url or folder / "jobs.db")
        self.folder = folder
        self.history = History(folder)
        self.die_at = ""

    def point(self, name: str) -> None:
        """Die here if the scenario says so: as if by kill -9, at once and without a trace."""
        if self.die_at == name:
            self.history.write("died", name, os.getpid())
            os.kill(os.getpid(), signal.SIGKILL)

    def stop(self, grace: float = DEFAULT_GRACE) -> Awaitable[None]:
        """As ``Jobs.stop``, and told."""
        self.history.write("stopping", os.getpid())
        return super().stop(grace)

    async def gate(self, name: str) -> None:
        """Wait until the test opens a gate."""
        while not (self.folder / name).exists():  # noqa: ASYNC110 - a file that another process makes
            await asyncio.sleep(0.005)


def application(folder: Path, url: str | None = None) -> Application:
    """The application on ``folder``, its ledger there or in the database at ``url``."""
    jobs = Application(folder, url)
    history = jobs.history

    def lost(signal: Signal) -> None:
        if signal.name == CLAIM_LOST:
            history.write("lost", signal.fields["run_id"], os.getpid())

    jobs.signals.listen(lost)

    @jobs.task(on=Quick)
    async def quick(event: Quick, ctx: Context) -> int:
        history.write("quick", event.number, ctx.run_id, os.getpid())
        return event.number

    @jobs.task(on=Held)
    async def held(event: Held, ctx: Context) -> str:
        history.write("held", event.number, ctx.attempt, os.getpid())
        await jobs.gate(f"held-{event.number}-{ctx.fence}")
        history.write("ended", event.number, ctx.attempt, os.getpid())
        return f"claim {ctx.fence}"

    @jobs.task(on=Stubborn)
    async def stubborn(event: Stubborn, ctx: Context) -> str:
        if ctx.attempt > 1:
            await ctx.step("owner", lambda: "owner")
            await ctx.progress(0.5, "owner")
            await ctx.send(Quick(tenant_id=event.tenant_id, number=1), key=ctx.idempotency_key("quick"))
            ctx.log.info("owner")
        history.write("stubborn", ctx.attempt, os.getpid())
        while True:
            try:
                await jobs.gate(f"stubborn-{ctx.attempt}")
                break
            except asyncio.CancelledError:
                history.write("cancelled", ctx.attempt)
        if ctx.attempt == 1:
            await _write_by_every_way(ctx, event.tenant_id, history)
        return f"attempt {ctx.attempt}"

    @jobs.task(on=Stepped)
    async def stepped(event: Stepped, ctx: Context) -> list[str]:
        jobs.point("handler begun")

        def first() -> str:
            history.write("first", os.getpid())
            return "one"

        async def second() -> str:
            history.write("second", os.getpid())
            jobs.point("inside the second step")
            return "two"

        one = await ctx.step("first", first)
        jobs.point("between steps")
        two = await ctx.step("second", second)
        jobs.point("before the return")
        return [one, two]

    @jobs.task(on=Frozen)
    async def frozen(event: Frozen, ctx: Context) -> int:
        history.write("frozen", ctx.attempt, os.getpid())
        # PyDLL keeps the interpreter's lock for the length of the call: no other thread of this process runs.
        libc = ctypes.PyDLL(None)
        pipe = os.open(jobs.folder / "pipe", os.O_RDWR)
        libc.read(pipe, ctypes.create_string_buffer(1), 1)
        os.close(pipe)
        return ctx.attempt

    @jobs.task(on=Deadly, retry=Retry(max_attempts=2, initial=0))
    def deadly(event: Deadly) -> None:
        history.write("deadly", os.getpid())
        os._exit(3)

    @jobs.task(on=Limited, concurrency=[Limit(10), Limit(2, per="tenant")], retry=Retry(max_attempts=10))
    async def limited(event: Limited) -> None:
        history.write("limited", event.tenant_id, os.getpid())
        for _ in range(5):
            await asyncio.sleep(0.001)

    return jobs


async def _write_by_every_way(ctx: Context, tenant_id: str, history: History) -> None:
    for number in range(20):
        ctx.log.info("zombie")
        for way, write in (
            ("step", lambda number=number: ctx.step(f"zombie-{number}", lambda: "zombie")),
            ("progress", lambda: ctx.progress(0.9, "zombie")),
            ("sleep", lambda: ctx.sleep(3600)),
        ):
            try:
                await write()
            except StaleClaim:
                history.write("refused", way)
            else:
                history.write("accepted", way)
    sent = await ctx.send(Quick(tenant_id=tenant_id, number=1), key=ctx.idempotency_key("quick"))
    history.write("sent", "accepted" if isinstance(sent, list) else sent.status)
