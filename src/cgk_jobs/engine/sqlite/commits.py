"""Group commit: what is asked for in one turn of the event loop shares one transaction.

Measured faster than a writer thread: no hop, and a lone send waits for nobody. Threads and other loops hand over under
the same lock, so one connection serves the whole process. Nothing here blocks an event loop: while another process or
thread writes, the loop is given back and the transaction tried again a fraction of a millisecond later.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cgk_jobs.clock import Clock, monotonic
from cgk_jobs.engine.quotas import Crossing
from cgk_jobs.engine.sqlite.checkpoints import Checkpointer
from cgk_jobs.engine.sqlite.database import is_busy, open_database
from cgk_jobs.engine.sqlite.forks import ForkGuard
from cgk_jobs.engine.sqlite.ledger import SqliteLedger
from cgk_jobs.errors import JobsError, ProviderUnavailable, WriteRefused

__all__ = ["Aftermath", "GroupCommit"]

T = TypeVar("T")
Verb = Callable[[SqliteLedger], T]
_Item = tuple[Callable[[SqliteLedger], Any], "asyncio.Future[Any]"]

PATIENCE = 30.0
"""Seconds other writers may hold the ledger before a verb is refused."""
_OF_THE_WRITE = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
BUSY_AFTER = 50
"""Commits after which a process counts as one that writes a lot."""


class Aftermath:
    """What a committed transaction left to be told: runs made ready, moments given, runs that ended, quotas reached."""

    __slots__ = ("crossings", "finished", "first_due", "made_ready")

    def __init__(self, made_ready: int, first_due: int | None, finished: list[int], crossings: list[Crossing]) -> None:
        self.crossings = crossings
        self.made_ready = made_ready
        self.first_due = first_due
        self.finished = finished


class _Busy(Exception):
    """Somebody else writes at the moment."""


class GroupCommit:
    """One connection, opened at the first use and again in a forked child, and the queue in front of it.

    ``told`` is called after each commit that has something to tell, in the thread that committed.
    """

    def __init__(self, path: Path, clock: Clock, *, full_sync: bool, told: Callable[[Aftermath], None]) -> None:
        self.path = path
        self._clock = clock
        self._full_sync = full_sync
        self._told = told
        self._lock = threading.Lock()
        self._ledger: SqliteLedger | None = None
        self._pid = os.getpid()
        self._inherited: list[SqliteLedger] = []
        self._fork_guard = ForkGuard(self._lock, self._close_ledger)
        self._waiting: dict[asyncio.AbstractEventLoop, list[_Item]] = {}
        self._jitter = random.Random()  # noqa: S311
        self._commits = 0
        self._checkpointer: Checkpointer | None = None

    def _after_fork(self) -> None:
        # SQLite forbids using, and even closing, a connection carried over a fork: keep it untouched. The lock and the
        # queue belong to threads and loops that don't exist here.
        if self._ledger is not None:
            self._inherited.append(self._ledger)
            self._ledger = None
        self._lock = threading.Lock()
        self._fork_guard = ForkGuard(self._lock, self._close_ledger)
        self._waiting = {}
        self._pid = os.getpid()
        self._commits = 0
        self._checkpointer = None

    def _open(self) -> SqliteLedger:
        if self._ledger is None:
            self._ledger = SqliteLedger(open_database(self.path, full_sync=self._full_sync), self._clock)
        return self._ledger

    @property
    def doorbells(self) -> list[str]:
        """Where workers are woken, as far as this process has read."""
        return [] if self._ledger is None else self._ledger.configuration.doorbells

    # -- one transaction ---------------------------------------------------------------------------------------------

    def _transact(self, work: Verb[T]) -> tuple[T, Aftermath | None]:
        ledger = self._open()
        db = ledger.db
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if is_busy(error):
                raise _Busy from error
            raise ProviderUnavailable(f"the ledger {self.path} can't be written: {error}") from error
        try:
            ledger.begin()
            answer = work(ledger)
            ledger.finish()
            db.execute("COMMIT")
        except BaseException as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            ledger.forget()
            _reset(ledger)
            if isinstance(error, sqlite3.Error):
                # A full disk is worth waiting for; a value that does not fit is not.
                kind = WriteRefused if isinstance(error, _OF_THE_WRITE) else ProviderUnavailable
                raise kind(f"the ledger {self.path} refused a write: {error}. Nothing of it was stored") from error
            raise
        self._commits += 1
        if self._commits == BUSY_AFTER:
            self._take_over_checkpoints(db)
        return answer, _reset(ledger)

    def _take_over_checkpoints(self, db: sqlite3.Connection) -> None:
        # A process that writes a lot leaves checkpoints to a thread; one that writes a little needs no thread.
        db.execute("PRAGMA wal_autocheckpoint = 0")
        self._checkpointer = Checkpointer(self.path)

    def now(self, verb: Verb[T | JobsError]) -> T:
        """Run ``verb`` in a transaction of its own and return its answer; for threads: it waits for other writers."""
        if self._pid != os.getpid():
            self._after_fork()
        give_up_at = monotonic() + PATIENCE
        while True:
            try:
                with self._lock:
                    answer, aftermath = self._transact(verb)
            except _Busy:
                if monotonic() > give_up_at:
                    raise self._locked() from None
                time.sleep(self._pause())
            else:
                if aftermath is not None:
                    self._told(aftermath)
                if isinstance(answer, JobsError):
                    raise answer
                return answer

    def _pause(self) -> float:
        return self._jitter.uniform(0.0001, 0.0004)

    def _locked(self) -> ProviderUnavailable:
        return ProviderUnavailable(
            f"the ledger {self.path} has been locked by another process for {PATIENCE:g} s: look for a hanging one"
        )

    # -- a loop's turn -----------------------------------------------------------------------------------------------

    def run(self, verb: Verb[T | JobsError]) -> asyncio.Future[T]:
        """Run ``verb`` together with whatever else this turn of the loop asks for; the future is done after the commit.

        A verb that raises leaves nothing of the transaction, and the others are done again. One that answers an error
        promises that it has written nothing: the others stand.
        """
        if self._pid != os.getpid():
            self._after_fork()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        items = self._waiting.get(loop)
        if items is None:
            items = self._waiting[loop] = []
            loop.call_soon(self._flush, loop, monotonic() + PATIENCE)
        items.append((verb, future))
        return future

    def _flush(self, loop: asyncio.AbstractEventLoop, give_up_at: float) -> None:
        if not self._lock.acquire(blocking=False):
            loop.call_later(self._pause(), self._flush, loop, give_up_at)
            return
        try:
            items = self._waiting[loop]
            try:
                answers, aftermath = self._transact(lambda ledger: [verb(ledger) for verb, _ in items])
            except _Busy:
                if monotonic() < give_up_at:
                    loop.call_later(self._pause(), self._flush, loop, give_up_at)
                    return
                del self._waiting[loop]
                _fail_all(items, self._locked())
                return
            except Exception as error:
                del self._waiting[loop]
                if len(items) == 1 or isinstance(error, OSError):
                    _fail_all(items, error)
                else:
                    # Something in the group was refused: each again by itself, so that it fails alone.
                    for item in items:
                        loop.call_soon(self._flush_alone, item, give_up_at)
                return
            del self._waiting[loop]
        finally:
            self._lock.release()
        for (_, future), answer in zip(items, answers, strict=True):
            if not future.done():
                _answer(future, answer)
        if aftermath is not None:
            self._told(aftermath)

    def _flush_alone(self, item: _Item, give_up_at: float) -> None:
        verb, future = item
        if future.done():
            return
        loop = future.get_loop()
        if not self._lock.acquire(blocking=False):
            loop.call_later(self._pause(), self._flush_alone, item, give_up_at)
            return
        try:
            answer, aftermath = self._transact(verb)
        except _Busy:
            if monotonic() < give_up_at:
                loop.call_later(self._pause(), self._flush_alone, item, give_up_at)
            else:
                _fail_all([item], self._locked())
            return
        except Exception as error:
            _fail_all([item], error)
            return
        finally:
            self._lock.release()
        _answer(future, answer)
        if aftermath is not None:
            self._told(aftermath)

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        if self._pid != os.getpid():
            self._after_fork()
        with self._lock:
            if self._checkpointer is not None:
                self._checkpointer.close()
                self._checkpointer = None
            self._close_ledger()
            self._commits = 0

    def _close_ledger(self) -> None:
        if self._ledger is not None:
            self._ledger.db.close()
            self._ledger = None


def _answer(future: asyncio.Future[Any], answer: object) -> None:
    if isinstance(answer, JobsError):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _reset(ledger: SqliteLedger) -> Aftermath | None:
    """What is to be told of this transaction; the counters begin anew."""
    inbox, desk, limits, quotas = ledger.inbox, ledger.desk, ledger.limits, ledger.inbox.quotas
    made_ready = inbox.made_ready + limits.released + ledger.families.released
    if not made_ready and inbox.first_due is None and not desk.finished and not quotas.crossings:
        return None
    aftermath = Aftermath(made_ready, inbox.first_due, desk.finished, quotas.crossings)
    quotas.crossings = []
    inbox.made_ready = limits.released = ledger.families.released = 0
    inbox.first_due = None
    desk.finished = []
    return aftermath


def _fail_all(items: list[_Item], error: Exception) -> None:
    if not isinstance(error, JobsError | OSError | KeyError | ValueError):
        # Nobody foresaw it: whoever waits must still hear of it.
        error = WriteRefused(f"the ledger failed: {type(error).__name__}: {error}")
    for _, future in items:
        if not future.done():
            future.set_exception(error)
