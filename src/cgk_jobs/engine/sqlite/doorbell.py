"""Waking workers in other processes: a datagram to a socket of theirs.

Costs nothing while idle, and reaches a sleeping worker in a fraction of a millisecond. Where the system has no Unix
sockets, workers find work by looking, as they do anyway once in a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

__all__ = ["Doorbell", "Ringer", "doorbell_folder"]


def doorbell_folder(ledger: Path) -> Path:
    """Where the doorbells of a ledger are: a short path, since those of sockets may have some 100 characters only."""
    name = hashlib.sha256(str(ledger.resolve()).encode()).hexdigest()[:16]
    owner = os.getuid() if hasattr(os, "getuid") else 0
    return Path(tempfile.gettempdir()) / f"cgk-jobs-{owner}-{name}"


class Doorbell:
    """A worker's socket. ``path`` is empty where there can be none."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = ""
        # The bare descriptor: a worker that was abandoned, as in a crash a test plays, is no leak to be warned of.
        self._descriptor = -1
        self._loop: asyncio.AbstractEventLoop | None = None
        if not hasattr(socket, "AF_UNIX"):
            return
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_uid != os.getuid():
                return  # somebody else's, made in our name: workers then look by themselves
            path = folder / name
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
                bell.setblocking(False)
                bell.bind(str(path))
                self._descriptor, self.path = bell.detach(), str(path)

    def listen(self, ring: Callable[[], None]) -> None:
        """Call ``ring`` on the running loop when the bell rings; several rings may be one call."""
        bell = self._descriptor
        if bell < 0:
            return

        def answer() -> None:
            with contextlib.suppress(BlockingIOError):
                for _ in range(64):
                    os.read(bell, 16)
            ring()

        loop = asyncio.get_running_loop()
        # A loop without add_reader (Windows' default) leaves it at looking once in a while.
        with contextlib.suppress(NotImplementedError):
            loop.add_reader(bell, answer)
            self._loop = loop

    def close(self) -> None:
        """Take the bell down."""
        if self._descriptor >= 0:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
            path = Path(self.path)
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # others' bells are in it
                path.parent.rmdir()

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Ringer:
    """Rings other workers' bells; a bell nobody answers any more is forgotten."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._pid = 0
        self.paths: list[str] = []

    def ring(self) -> None:
        """Ring all of ``paths``. Never blocks and never fails: a lost ring is found by looking."""
        if not self.paths:
            return
        if self._socket is None or self._pid != os.getpid():
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            self._pid = os.getpid()
        for path in tuple(self.paths):
            try:
                self._socket.sendto(b"!", path)
            except BlockingIOError:
                continue  # its queue of rings is full: it will look
            except OSError:
                self.paths.remove(path)

    def close(self) -> None:
        """Close the socket; the next ring opens another."""
        if self._socket is not None and self._pid == os.getpid():
            self._socket.close()
        self._socket = None
