"""The process beside a worker's that renews its lease: started, told of seats, replaced if it died."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
import threading

from cgk_jobs.engine.postgres.address import Address
from cgk_jobs.errors import NotConfigured

__all__ = ["Heart"]

_logger = logging.getLogger("cgk_jobs.engine")

_MODULE = "cgk_jobs.engine.postgres.heartbeat"
_FAREWELL = 5.0
"""Seconds the process gets to end once its last seat was given up."""


class Heart:
    """One heartbeat process for all seats of this process. Safe for several threads."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._leases: dict[int, float] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = os.getpid()
        self._inherited: subprocess.Popen[bytes] | None = None

    async def add(self, worker: int, lease: float) -> None:
        """Renew this worker's lease (seconds) from now on. Raises ``NotConfigured`` if no process can be started."""
        await asyncio.to_thread(self._add, worker, lease)

    async def remove(self, worker: int) -> None:
        """Leave this worker's lease alone; without any the process ends."""
        if worker in self._leases:
            await asyncio.to_thread(self._remove, worker)

    async def look_after(self) -> None:
        """Start the process anew if it has died."""
        if self._leases and self._is_gone():
            await asyncio.to_thread(self._replace)

    def _is_gone(self) -> bool:
        return self._pid != os.getpid() or self._process is None or self._process.poll() is not None

    def _add(self, worker: int, lease: float) -> None:
        with self._lock:
            self._forget_parent()
            self._leases[worker] = lease
            if self._is_gone():
                self._start()
            else:
                self._tell({"worker": worker, "lease": lease})

    def _remove(self, worker: int) -> None:
        with self._lock:
            self._forget_parent()
            self._leases.pop(worker, None)
            if self._leases:
                self._tell({"worker": worker, "lease": None})
            elif self._process is not None:
                self._tell({"worker": worker, "lease": None})
                process, self._process = self._process, None
                _end(process)

    def _replace(self) -> None:
        with self._lock:
            self._forget_parent()
            if self._leases and self._is_gone():
                _logger.warning("the heartbeat process of this process's workers has ended: it is started anew")
                if self._process is not None:
                    _end(self._process)
                self._start()

    def _forget_parent(self) -> None:
        if self._pid != os.getpid():
            # Seats and heartbeat of the process this one was forked from are not ours.
            self._inherited, self._process = self._process, None
            self._leases.clear()
            self._pid = os.getpid()

    def _start(self) -> None:
        if not sys.executable:
            raise NotConfigured(
                "the heartbeat process can't be started: this interpreter does not know its own program (sys.executable)"
            )
        try:
            # A session of its own: an interrupt at the terminal is for the worker, which then drains for a while yet.
            self._process = subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
                [sys.executable, "-P", "-m", _MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,
            )
        except OSError as error:
            raise NotConfigured(f"the heartbeat process can't be started by {sys.executable}: {error}") from error
        # Through the pipe and not as an argument: the address holds the password.
        self._tell({"dsn": self._address.dsn, "parent": os.getpid()})
        for worker, lease in self._leases.items():
            self._tell({"worker": worker, "lease": lease})

    def _tell(self, message: dict[str, object]) -> None:
        if self._process is not None and self._process.stdin is not None:
            # One that has died is replaced at the next look.
            with contextlib.suppress(OSError):
                self._process.stdin.write(json.dumps(message).encode() + b"\n")
                self._process.stdin.flush()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    try:
        process.wait(_FAREWELL)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
