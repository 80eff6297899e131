"""Databases with the schema in them: one is migrated, the others are copies of it."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.servers.postgres import LedgerDatabase, PostgresServer

from cgk_jobs.engine.postgres.logins import Login, make_logins
from cgk_jobs.engine.postgres.migrate import apply
from cgk_jobs.engine.postgres.roles import Roles

# Logins have their settings by database, which a copy does not inherit; here they have them everywhere.
_WORKER_SETTINGS = (
    "SET jit = off",
    "SET enable_seqscan = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
    "SET lock_timeout = '5s'",
    "SET idle_in_transaction_session_timeout = '60s'",
    "SET search_path = pg_catalog, pg_temp",
)
_ROLES = f"cgk_jobs_test_{os.environ.get('PYTEST_XDIST_WORKER', 'gw')}"
"""On a server of somebody's; each process of tests has its own, for each gives the logins passwords."""


class Ledgers:
    """Makes ledger databases on a server, in some milliseconds each. Roles belong to the server: all share the logins."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.roles = Roles() if server.is_own else Roles(_ROLES)
        self._of_folders: dict[Path, LedgerDatabase] = {}
        self._template = server.empty_database()
        # In a thread: a test's loop may be running here.
        with ThreadPoolExecutor(1) as thread:
            self._worker, self._tenant = thread.submit(asyncio.run, self._make_template()).result()
        for setting in _WORKER_SETTINGS:
            server.execute("ALTER ROLE {} " + setting, self._worker.name)
        server.execute("ALTER ROLE {} SET track_activities = off", self._tenant.name)

    async def _make_template(self) -> tuple[Login, Login]:
        url = self.server.address(self._template)
        await apply(url, roles=self.roles)
        return await make_logins(url, roles=self.roles, new_passwords=True)

    def fresh(self) -> LedgerDatabase:
        """A new, empty ledger."""
        name = self.server.copy_of(self._template)
        return LedgerDatabase(
            name,
            admin_url=self.server.address(name),
            worker_url=self._address(name, self._worker),
            tenant_url=self._address(name, self._tenant),
        )

    def of_folder(self, folder: Path) -> LedgerDatabase:
        """The ledger that belongs to a test's folder: fresh when first asked for."""
        if folder not in self._of_folders:
            self._of_folders[folder] = self.fresh()
        return self._of_folders[folder]

    def drop(self, database: LedgerDatabase) -> None:
        """Drop one; nobody waits for it."""
        self.server.drop_later(database.name)

    def drop_of_folders(self) -> None:
        """Drop those of folders."""
        for database in self._of_folders.values():
            self.server.drop_later(database.name)
        self._of_folders.clear()

    def close(self) -> None:
        """Drop what is left."""
        self.drop_of_folders()
        self.server.drop(self._template)

    def _address(self, database: str, login: Login) -> str:
        return self.server.address(database, login.name, unquote(urlsplit(login.url).password or ""))
