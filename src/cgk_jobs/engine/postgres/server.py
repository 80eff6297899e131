"""Opening connections: what is found out about the server, and about a pooler between it and us."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from cgk_jobs.engine.postgres.address import Address
from cgk_jobs.engine.postgres.refusals import DRIVER_ERRORS, is_pooler_trouble, refusal
from cgk_jobs.errors import NotConfigured, ProviderUnavailable

__all__ = ["OLDEST", "QUERIES", "Connection", "Server"]

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

OLDEST = 14
"""The oldest major version of PostgreSQL the statements are written for."""

CONNECT_TIMEOUT = 10.0
"""Seconds for opening a connection."""
STATEMENT_TIMEOUT = 60.0
"""Seconds for one statement, measured here: a host that vanished says nothing."""

QUERIES: dict[str, str] = {
    path.stem: path.read_text(encoding="utf-8") for path in (Path(__file__).parent / "queries").glob("*.sql")
}

# Where a role has these by ALTER ROLE (`cgk jobs schema apply` sees to it) they change nothing. The plans are fixed on
# index scans: statistics of a queue are always out of date, and a plan made for an empty table is a disaster on a full one.
# The path keeps functions and operators that others may make in `public` out of the statements.
_SESSION = """\
SET jit = off; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '60s'; SET search_path = pg_catalog, pg_temp"""

logger = logging.getLogger(__name__)


class Server:
    """The server behind an address.

    ``pooled``: a pooler stands between (``None`` until the first connection). Session state then lasts no longer than a
    transaction: nothing is SET, and nobody LISTENs. ``named``: prepared statements keep their names; where they don't
    (PgBouncer before 1.21, or with max_prepared_statements = 0), asyncpg is told to cache none, and then sends a statement's
    text with its parameters, in one message that reaches one server connection.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.pooled: bool | None = None
        self.named = True

    async def connect(self) -> Connection:
        """A new connection, looked over.

        Raises ``ProviderUnavailable`` (not reachable, a standby) and ``NotConfigured`` (login refused, no such database,
        read-only, too old).
        """
        try:
            while True:
                named = self.named
                connection = await self._open(named)
                try:
                    if await self._look_over(connection) and named == self.named:
                        return connection
                except BaseException:
                    connection.terminate()
                    raise
                connection.terminate()
        except DRIVER_ERRORS as error:
            found = refusal(error, self.address, connecting=True)
            if found is None:
                raise
            raise found from error

    async def _open(self, named: bool) -> Connection:
        return await asyncpg.connect(
            self.address.dsn,
            timeout=CONNECT_TIMEOUT,
            command_timeout=STATEMENT_TIMEOUT,
            statement_cache_size=1024 if named else 0,
            max_cached_statement_lifetime=0,
            max_cacheable_statement_size=0,
            server_settings={"application_name": self.address.application_name},
        )

    async def _look_over(self, connection: Connection) -> bool:
        # In a transaction: a pooler keeps to one server connection as long as it lasts.
        await connection.execute("BEGIN")
        try:
            found = await connection.fetchrow(QUERIES["probe_server"])
        except asyncpg.PostgresError as error:
            if self.named and is_pooler_trouble(error):
                self.pooled, self.named = True, False
                return False
            raise
        await connection.execute("COMMIT")
        if found is None:
            raise ProviderUnavailable(
                f"{self.address.shown} does not answer as PostgreSQL does: is it another database?"
            )
        self._refuse_unfit(found)
        pooled = found["pid"] != connection.get_server_pid()
        if pooled and self.named and found["own_names"]:
            self.named = False
        if pooled and not self.pooled:
            logger.info(
                "%s is reached through a pooler%s",
                self.address.shown,
                "" if self.named else " without prepared statements",
            )
            if not found["bounded"]:
                logger.warning(
                    "the login of %s has no lock_timeout, and through a pooler none can be set by session: "
                    "`cgk jobs schema apply` gives the worker's login its settings",
                    self.address.shown,
                )
        self.pooled = pooled
        if not pooled:
            await connection.execute(_SESSION)
        return True

    def _refuse_unfit(self, found: asyncpg.Record) -> None:
        shown = self.address.shown
        if found["version"] < OLDEST * 10_000:
            raise NotConfigured(
                f"{shown} is PostgreSQL {found['version'] // 10_000}; {OLDEST} or newer is needed: upgrade the server"
            )
        if found["standby"]:
            raise ProviderUnavailable(f"{shown} is a standby and read-only: give the address of the primary server")
        if found["read_only"]:
            raise NotConfigured(
                f"{shown} is read-only: turn default_transaction_read_only off for this login, or give another address"
            )
