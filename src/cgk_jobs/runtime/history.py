"""The journal of a run as one attempt sees it: what was finished answers, what is new is written, what changed is noticed.

**Order.** The tasks and threads in which a handler calls ``ctx`` are its *strands*. The one it was called in, the main strand,
is sequential, so it must ask for the same steps in the same order in every attempt; the first step out of order is a
``JournalMismatch``. Strands a handler starts itself (``asyncio.gather``) interleave differently each time: their steps are
found by name alone. The order also stops being held where a step failed and the handler went on, since the step may succeed
at the next attempt and take another course. A handler may return early.

**Suspension.** A strand that has to wait unwinds the whole handler. It does so once no other strand is inside a step, so that
no step is broken off and done twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, NoReturn, Protocol

from cgk_jobs.errors import InvalidEvent, InvalidTask, JournalMismatch, StaleClaim
from cgk_jobs.runtime.delivery import Claim
from cgk_jobs.runtime.entries import ChildCall, EventWait, JournalEntry
from cgk_jobs.wire.text import is_storable

__all__ = ["UNDO", "Asked", "History", "StepLog", "Suspend", "Undo", "Unwind"]

UNDO = "undo:"
"""How the names of steps begin that undo others."""
DEAF_FOR = 5.0
"""Seconds a strand may take to end once its handler has."""

_inside: ContextVar[bool] = ContextVar("cgk_jobs_inside_step", default=False)


class StepLog(Protocol):
    """The journals of runs. The writing verbs are False or ``None`` if the attempt lost its run."""

    async def load(self, claim: Claim) -> list[JournalEntry]: ...

    async def record(self, claim: Claim, entry: JournalEntry) -> bool: ...

    async def progress(self, claim: Claim, progress: str) -> bool: ...

    async def metadata(self, claim: Claim, changes: str) -> bool: ...

    def step_transaction(self, connection: Any, claim: Claim) -> Any: ...

    async def await_event(self, claim: Claim, entry: JournalEntry, wait: EventWait) -> JournalEntry | None: ...

    async def end_wait(self, claim: Claim, name: str, result: str) -> JournalEntry | None: ...

    async def spawn(
        self, claim: Claim, entry: JournalEntry, calls: list[ChildCall], *, first: int, concurrency: int | None
    ) -> bool: ...


class Suspend(BaseException):
    """Unwinds a handler that waits, until a moment or until it is woken. ``except Exception`` lets it pass."""

    def __init__(self, until: int | None) -> None:
        super().__init__(until)
        self.until = until


class Unwind(BaseException):
    """Ends the pass of a handler whose run is being undone, where its finished steps end."""


class Asked(NamedTuple):
    """An operation of the handler: its entry's name, the entry if there is one, and where a new one belongs."""

    name: str
    entry: JournalEntry | None
    place: int
    ordered: bool


class Undo(NamedTuple):
    """How a finished step is undone."""

    place: int
    step: str
    call: Any


class History:
    """One attempt's view. ``main``: the task its handler runs in."""

    def __init__(self, claim: Claim, log: StepLog) -> None:
        self._claim = claim
        self._log = log
        self.main: asyncio.Task[Any] | None = None
        self.entries: dict[str, JournalEntry] | None = None
        self._order: list[str] = []
        self._next = 0
        self._places = 0
        self._uses: dict[str, int] = {}
        self._strands: set[asyncio.Task[Any]] = set()
        self._busy = 0
        self._quiet: asyncio.Event | None = None
        self.mismatch: JournalMismatch | None = None
        """How the handler first left its order. It can't go on, even if it caught this."""
        self._answers: list[BaseException] = []
        self.step_failed = False
        """A step has raised in this attempt."""
        self.closed = False
        self.wake_at: int | None = None
        """The earliest moment a strand that is suspended waits for."""
        self.undos: list[Undo] = []
        self.received: dict[tuple[str, str, str], int] = {}
        """The number of the last event each kind of wait was answered with."""

    @property
    def unwinding(self) -> bool:
        """The run is being undone: what is finished answers, nothing new is begun."""
        return self._claim.failing is not None

    async def load(self) -> dict[str, JournalEntry]:
        """Read the journal, once. A run claimed for the first time has none."""
        if self.entries is None:
            found = [] if self._claim.token == 1 else await self._log.load(self._claim)
            if self.entries is None:  # another strand may have been faster
                self.entries = {entry.name: entry for entry in found}
                self._order = [entry.name for entry in found if entry.ordered]
                self._places = max((entry.place for entry in found), default=-1) + 1
        return self.entries

    # -- asking ------------------------------------------------------------------------------------------------------

    async def ask(self, name: str, *, undoing: bool = False) -> Asked:
        """The handler has come to this operation. Raises ``InvalidEvent`` for a bad name, ``JournalMismatch``."""
        if (
            not name
            or len(name) > 200
            or "#" in name
            or not is_storable(name)
            or (name.startswith(UNDO) and not undoing)
        ):
            raise InvalidEvent(
                f"step name {name!r}: 1 to 200 characters without # and NUL, not beginning with {UNDO!r}"
            )
        if self.closed:
            raise StaleClaim(f"{name!r} was not done: the attempt it belongs to is over")
        current = asyncio.current_task()
        is_main = current is self.main
        if not is_main and not undoing and current is not None:
            self._strands.add(current)
        # The same name again, as in a loop, is the next place: mail, mail#2, mail#3.
        use = self._uses[name] = self._uses.get(name, 0) + 1
        key = name if use == 1 else f"{name}#{use}"
        entries = self.entries
        if entries is None:
            with self.at_work():
                entries = await self.load()
        if self.mismatch is not None:
            raise self.mismatch
        ordered = is_main and not undoing and not _inside.get()
        entry = entries.get(key)
        if self._order and ordered:
            self._check_order(key, entry)
        if self.unwinding and not undoing and (entry is None or entry.pending):
            await self._rest()
            raise Unwind
        place = self._places if entry is None else entry.place
        if entry is None:
            self._places += 1
        return Asked(key, entry, place, ordered and not self.step_failed)

    def _check_order(self, name: str, entry: JournalEntry | None) -> None:
        if self._next == len(self._order):
            return
        expected = self._order[self._next]
        if name == expected:
            self._next += 1
        elif entry is None or entry.ordered:
            self.mismatch = JournalMismatch(
                f"the handler asks for {name!r} where the journal of its run has {expected!r}: the code was changed under it. "
                "Deploy the code it began with and retry it, or replay it from the start"
            )
            raise self.mismatch

    @property
    def not_asked(self) -> list[str]:
        """Steps of the main strand that are in the journal and were not asked for."""
        return self._order[self._next :]

    def answered(self, error: BaseException) -> BaseException:
        """Mark an error as one the journal answers with: later attempts of the run get the same."""
        self._answers.append(error)
        return error

    def is_answer(self, error: BaseException) -> bool:
        """Whether the journal answers with this very error, so that another attempt can't help."""
        return any(error is answer for answer in self._answers)

    # -- writing -----------------------------------------------------------------------------------------------------

    def entry_of(self, asked: Asked, result: str | None, **marks: Any) -> JournalEntry:
        """An entry for what was asked."""
        return JournalEntry(asked.name, result, asked.place, asked.ordered, **marks)

    async def write(self, entry: JournalEntry) -> None:
        """Write an entry. Raises ``StaleClaim`` if the attempt lost its run."""
        if not await self._log.record(self._claim, entry):
            raise self.lost(f"step {entry.name!r}")
        self.note(entry)

    def note(self, entry: JournalEntry) -> None:
        """An entry was written."""
        if self.entries is not None:
            self.entries[entry.name] = entry

    def reserve(self, count: int) -> None:
        """So many places after the one just asked for are taken by its children."""
        self._places += count

    def lost(self, what: str) -> StaleClaim:
        """The attempt lost its run."""
        self.closed = True
        return StaleClaim(f"{what} was not stored: this attempt lost its run; stop working on it")

    # -- strands -----------------------------------------------------------------------------------------------------

    @contextmanager
    def at_work(self) -> Generator[None, None, None]:
        """Something is going on that a suspension must not break off."""
        self._busy += 1
        if self._quiet is not None:
            self._quiet.clear()
        try:
            yield
        finally:
            self._busy -= 1
            if not self._busy and self._quiet is not None:
                self._quiet.set()

    @contextmanager
    def inside_step(self) -> Generator[None, None, None]:
        """The function of a step runs: steps within it have no order of their own, and nothing may be waited for."""
        token = _inside.set(True)
        try:
            yield
        finally:
            _inside.reset(token)

    def refuse_inside(self, what: str) -> None:
        """Raise ``InvalidTask`` inside a step's function, which can't be suspended."""
        if _inside.get():
            raise InvalidTask(f"{what} inside the function of a step: a step is done in one piece. Do it between steps")

    async def park(self, until: int | None) -> NoReturn:
        """Suspend the run until a moment, or until it is woken. Raises ``Suspend``, always."""
        if until is not None and (self.wake_at is None or until < self.wake_at):
            self.wake_at = until
        await self._rest()
        raise Suspend(until)

    async def _rest(self) -> None:
        # Let the other strands come to their next operation, and whoever is inside a step finish it.
        if asyncio.current_task() is self.main and not self._strands:
            return
        while True:
            for _ in range(3):
                await asyncio.sleep(0)
            if not self._busy:
                return
            if self._quiet is None:
                self._quiet = asyncio.Event()
            await self._quiet.wait()

    async def close(self) -> None:
        """The attempt is over."""
        self.closed = True
        await self.end_strands()

    async def end_strands(self) -> None:
        """The handler has ended: so do the strands it left behind."""
        for task in self._strands:
            # A suspension or unwinding that nobody awaited is not an error that was overlooked.
            if task.done() and not task.cancelled() and isinstance(task.exception(), Suspend | Unwind):
                continue
        strands = [task for task in self._strands if not task.done()]
        for task in strands:
            task.cancel()
        if strands:
            await asyncio.wait(strands, timeout=DEAF_FOR)
