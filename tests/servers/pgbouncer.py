"""PgBouncer in transaction mode before the tests' PostgreSQL.

Found on PATH or where JOBS_TEST_PGBOUNCER says; any version since 1.18. It refuses to run as root: for root it runs as
nobody.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from tests.servers.postgres import NOBODY, PASSWORD, PostgresServer, free_port, keep

__all__ = ["PgBouncer", "find_pgbouncer"]

_HOW_TO_INSTALL = (
    "PgBouncer not found: install it (apt install pgbouncer, dnf install pgbouncer, brew install pgbouncer) or set "
    "JOBS_TEST_PGBOUNCER to its path; no package index for Python has it"
)
_RUN = '"$0" "$1/pgbouncer.ini" & read -r _; kill -9 $!; rm -rf "$1"'


def find_pgbouncer() -> str:
    """The program's path; skips the test where there is none."""
    found = os.environ.get("JOBS_TEST_PGBOUNCER") or shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.skip(_HOW_TO_INSTALL)
    return found


def _version(program: str) -> tuple[int, ...]:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=10).stdout
    found = re.search(r"PgBouncer (\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


class PgBouncer:
    """One running PgBouncer. ``server_connections`` for each database and login; ``prepared`` statements it remembers of each
    server connection: with 0 they don't work in it, as before version 1.21."""

    def __init__(self, server: PostgresServer, *, server_connections: int = 2, prepared: int = 200) -> None:
        program = find_pgbouncer()
        knows_prepared = _version(program) >= (1, 21)
        if prepared and not knows_prepared:
            pytest.skip("needs PgBouncer 1.21 or newer")
        self._home = Path(tempfile.mkdtemp(prefix="cgk-jobs-pgb-"))
        self.port = free_port()
        (self._home / "users").write_text(f'"postgres" "{PASSWORD}"\n')
        (self._home / "pgbouncer.ini").write_text(
            "[databases]\n"
            f"* = host=127.0.0.1 port={server.port} auth_user=postgres\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            "auth_type = scram-sha-256\n"
            f"auth_file = {self._home / 'users'}\n"
            "auth_query = SELECT rolname, rolpassword FROM pg_catalog.pg_authid WHERE rolname = $1 AND rolcanlogin\n"
            "pool_mode = transaction\n"
            f"default_pool_size = {server_connections}\n"
            + (f"max_prepared_statements = {prepared}\n" if knows_prepared else "")
            + "max_client_conn = 500\n"
            "server_lifetime = 3600\n"
        )
        if os.getuid() == 0:
            for path in (self._home, *self._home.iterdir()):
                os.chown(path, NOBODY, NOBODY)
        self._keeper = keep(_RUN, program, str(self._home), output=self._home / "log")
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.close()
            raise

    def _wait_until_it_answers(self) -> None:
        address = f"host=127.0.0.1 port={self.port} user=postgres password='{PASSWORD}' dbname=postgres"
        for _ in range(100):
            try:
                psycopg.connect(address, connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                # It says nowhere that it is ready; waiting for its keeper's end is waiting with a limit.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._keeper.wait(0.05)
        raise RuntimeError(f"pgbouncer does not answer: {self.log}")

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self._home / "log").read_text(errors="replace")

    def address(self, url: str) -> str:
        """The address ``url`` by way of this pooler."""
        parts = urlsplit(url)
        login = parts.netloc.rpartition("@")[0]
        return urlunsplit((parts.scheme, f"{login}@127.0.0.1:{self.port}", parts.path, parts.query, ""))

    def close(self) -> None:
        """Stop it at once."""
        self._keeper.communicate(timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
