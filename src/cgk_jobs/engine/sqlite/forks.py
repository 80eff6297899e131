"""Forks: no connection to a ledger is open while the process forks.

A connection that was carried over spoils even one the child opens for itself: SQLite keeps its table of locks by process,
so the child would believe it holds the parent's, take none of its own, and lose what it writes once the parent closes the
file. So connections are closed before a fork and opened again, by parent and child each for itself, at their next use.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable

__all__ = ["ForkGuard"]

_PATIENCE = 10.0
"""Seconds a fork waits for a connection in use."""

_guards: weakref.WeakSet[ForkGuard] = weakref.WeakSet()


class ForkGuard:
    """Closes one owner's connection before each fork of this process, under the lock that guards its use.

    ``close`` is a bound method of the owner, which must keep the guard as long as it lives itself.
    """

    def __init__(self, lock: threading.Lock, close: Callable[[], None]) -> None:
        self._lock = lock
        self._close = weakref.WeakMethod(close)
        self._held = False
        _guards.add(self)

    def before(self) -> None:
        """The process is about to fork."""
        close = self._close()
        if close is not None:
            self._held = self._lock.acquire(timeout=_PATIENCE)
            if self._held:
                close()

    def after(self) -> None:
        """It has forked; called in parent and child."""
        if self._held:
            self._held = False
            self._lock.release()


_forking: list[ForkGuard] = []


def _before() -> None:
    _forking[:] = list(_guards)
    for guard in _forking:
        guard.before()


def _after() -> None:
    for guard in _forking:
        guard.after()
    _forking.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
