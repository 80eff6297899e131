"""Whether a worker's process is alive, told by the operating system and not by its code.

A worker holds a lock on a file of its own. The system gives the lock back when the process ends, however it ends, and keeps
it while a handler holds the interpreter for minutes. A process that was stopped (``SIGSTOP``, a debugger) keeps its lock
too; it counts as dead once it has not been heard of for a lease and the system says that it is stopped.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["LifeLock", "is_stopped", "may_be_locked"]

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        # Not flock: that lock would live on in a forked child after this process has died.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


# Locks this process holds. With its number: a forked child inherits the list, and none of the locks.
_held: set[tuple[int, str]] = set()


class LifeLock:
    """A lock held as long as this process lives. Raises ``OSError`` if the file is locked already."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(self._descriptor)
        except OSError:
            os.close(self._descriptor)
            raise
        _held.add((os.getpid(), str(path)))

    def release(self) -> None:
        """Give the lock back and remove the file."""
        _held.discard((os.getpid(), str(self.path)))
        self.path.unlink(missing_ok=True)
        os.close(self._descriptor)


def may_be_locked(path: Path) -> bool:
    """Whether a process holds the lock, this one included."""
    if (os.getpid(), str(path)) in _held:
        # The file must not be touched: the system gives a process's lock back as it closes any descriptor of the file.
        return True
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        _lock(descriptor)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def is_stopped(pid: int) -> bool:
    """Whether the system says that the process exists and is stopped; False where it doesn't tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    # The state follows the name, which stands in parentheses and may itself contain some.
    return text.rpartition(")")[2].split()[0] in ("T", "t")
