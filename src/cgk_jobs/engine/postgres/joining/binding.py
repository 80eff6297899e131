"""The application's connection and this ledger: the same database, a login that may send, the right tenant.

What can be refused is refused by reading catalogues, which fails nowhere: the application's transaction is as it was.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from cgk_jobs.engine.postgres.database import QUERIES, Database
from cgk_jobs.engine.postgres.joining.connections import LEDGER, UserConnection
from cgk_jobs.engine.postgres.tenant_token import BIND, Challenge, TenantTokens, check_bound
from cgk_jobs.errors import InvalidEvent, NotConfigured, ProviderUnavailable, TenantRequired, Unsupported

__all__ = ["Binding"]


class _Look(NamedTuple):
    """The row of ``look_at_connection``. ``sender`` is the role whose members may send."""

    pid: int
    started: int
    database: int
    server_started: int
    token: str | None
    path: str
    read_only: bool
    login: str
    sender: str | None
    may_send: bool

    def challenge(self, bound: str | None) -> Challenge:
        """What is signed. Whether the session may be trusted with a tenant does not matter here: none of its SQL is run while the
        tenant is bound, and our statements name everything in full."""
        return Challenge(self.pid, self.started, self.database, bound, False, False, self.path, False)


class Binding:
    """Binds tenants to transactions of the application. Reads the ledger's key and number once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tokens: TenantTokens | None = None
        self._ledger: tuple[int, int] | None = None

    async def check(self, connection: UserConnection, feature: str) -> None:
        """Refuse a connection ``feature`` can't use. Raises ``Unsupported``, ``NotConfigured``, ``ProviderUnavailable``."""
        await self._look(connection, feature)

    @asynccontextmanager
    async def bound(self, connection: UserConnection, tenant_id: str, feature: str) -> AsyncGenerator[None, None]:
        """The transaction in progress belongs to ``tenant_id`` inside the block, and to whom it belonged before after it.

        Raises as :meth:`check`, and ``TenantMismatch`` for a transaction of another tenant.
        """
        look = await self._look(connection, feature)
        tokens = await self._signer()
        before = _tenant_of(tokens, look)
        token = tokens.answer(tenant_id, look.challenge(before), allow_unsafe=True)
        if before is not None:
            yield
            return
        try:
            if not await self._bind(connection, tenant_id, look, token):
                # The key was changed since it was read.
                self._tokens = None
                tokens = await self._signer()
                token = tokens.answer(tenant_id, look.challenge(None), allow_unsafe=True)
                await self._bind(connection, tenant_id, look, token, last=True)
            yield
        except BaseException:
            # After an error of the database nothing more is run in this transaction, nor need be: it is rolled back.
            with suppress(Exception):
                await connection.row(QUERIES["restore_token"], look.token or "")
            raise
        await connection.row(QUERIES["restore_token"], look.token or "")

    async def _bind(
        self, connection: UserConnection, tenant_id: str, look: _Look, token: str, *, last: bool = False
    ) -> bool:
        bound = _there(await connection.row(BIND, token))
        pid, started, tenant = bound
        if not last and tenant is None and (pid, started) == (look.pid, look.started):
            return False
        check_bound(tenant_id, look.challenge(None), bound)
        return True

    async def _look(self, connection: UserConnection, feature: str) -> _Look:
        look = _Look(*_there(await connection.row(QUERIES["look_at_connection"])))
        here = (look.database, look.server_started)
        if here != self._ledger:
            # Not yet known, or the server was started anew.
            self._ledger = await self._read_identity()
        if here != self._ledger:
            raise Unsupported(
                f"{feature} to another database than the ledger's",
                LEDGER,
                f"One transaction can't span two: give a connection to {self._database.address.shown}, or send after the commit, "
                "with key=.",
            )
        if look.read_only:
            raise NotConfigured("the transaction is read-only: begin one that may write (SET TRANSACTION READ WRITE)")
        if not look.may_send:
            role = look.sender or "cgk_jobs_tenant"
            raise NotConfigured(
                f"the login {look.login} may not send: GRANT {role} TO {look.login} (a login without INHERIT has to SET ROLE "
                f"{role}), or connect with the tenant login that `cgk jobs schema apply` makes"
            )
        return look

    async def _read_identity(self) -> tuple[int, int]:
        row = await self._database.row("identify_server")
        if row is None:
            raise ProviderUnavailable("the ledger's database did not say which it is: try again")
        return row["database"], row["started"]

    async def _signer(self) -> TenantTokens:
        if self._tokens is None:
            row = await self._database.row("read_tenant_key")
            if row is None:
                raise NotConfigured("cgk_jobs.tenant_key is empty: restore it from a backup")
            self._tokens = TenantTokens(row["inner_key"], row["outer_key"])
        return self._tokens


def _tenant_of(tokens: TenantTokens, look: _Look) -> str | None:
    """The tenant the transaction is bound to already, by a guard of the application's."""
    tenant_id = (look.token or "").partition(":")[0]
    if not tenant_id or look.token is None:
        return None
    try:
        valid = tokens.answer(tenant_id, look.challenge(None), allow_unsafe=True)
    except (InvalidEvent, TenantRequired):
        return None
    return tenant_id if hmac.compare_digest(valid.encode(), look.token.encode()) else None


def _there(row: Sequence[Any] | None) -> Sequence[Any]:
    if row is None:
        raise ProviderUnavailable("the connection gave no answer: is it one to PostgreSQL?")
    return row
