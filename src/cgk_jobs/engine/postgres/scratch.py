"""A ledger for a demonstration or a measure: a database of its own on a server, and nothing of it left at the end."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from cgk_jobs.engine.postgres.address import parse_address
from cgk_jobs.engine.postgres.logins import make_logins
from cgk_jobs.engine.postgres.migrate import apply, refused
from cgk_jobs.engine.postgres.refusals import DRIVER_ERRORS
from cgk_jobs.engine.postgres.roles import Roles
from cgk_jobs.engine.postgres.server import Server
from cgk_jobs.errors import NotConfigured

__all__ = ["ScratchLedger", "drop_scratch", "make_scratch", "scratch_ledger"]


@dataclass(frozen=True, slots=True)
class ScratchLedger:
    """A database beside others. ``worker_url`` is what ``Jobs`` takes; ``admin_url`` is the login it was made with.

    Its roles and logins are its own, named after it, so that no other ledger of the server has its passwords changed.
    """

    name: str
    admin_url: str = field(repr=False)
    worker: str
    worker_url: str = field(repr=False)


@contextlib.asynccontextmanager
async def scratch_ledger(server: str, purpose: str, *, keep: bool = False) -> AsyncGenerator[ScratchLedger, None]:
    """A new ledger for the length of the block; ``keep`` leaves it there."""
    ledger = await make_scratch(server, purpose)
    try:
        yield ledger
    finally:
        if not keep:
            await drop_scratch(server, ledger.name)


async def make_scratch(server: str, purpose: str) -> ScratchLedger:
    """Make a database ``cgk_jobs_PURPOSE_…`` with the ledger in it. ``purpose``: up to 16 of ``a-z_``.

    ``server``: the address of any database of the server, with a login that may make databases and roles. Raises
    ``NotConfigured`` where it may not, and ``ProviderUnavailable``; what was made until then is dropped.
    """
    name = f"cgk_jobs_{purpose}_{uuid.uuid4().hex[:12]}"
    await _administrate(server, [f'CREATE DATABASE "{name}"'])
    try:
        address = _beside(server, name)
        roles = Roles(name)
        await apply(address, roles=roles)
        worker, _ = await make_logins(address, roles=roles)
        return ScratchLedger(name, address, worker.name, worker.url)
    except BaseException:
        await drop_scratch(server, name)
        raise


async def drop_scratch(server: str, name: str) -> None:
    """Drop what ``make_scratch`` made, ending its sessions."""
    roles = Roles(name)
    mine = [f"{roles.worker}_login", f"{roles.tenant}_login", roles.worker, roles.tenant, roles.owner]
    drops = [f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', *(f'DROP ROLE IF EXISTS "{role}"' for role in mine)]
    await _administrate(server, drops)


async def _administrate(server: str, statements: Sequence[str]) -> None:
    address = parse_address(server)
    connection = await Server(address).connect()
    try:
        for statement in statements:
            await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError as error:
        raise _not_allowed(address.user, error) from error
    except DRIVER_ERRORS as error:
        raise refused(error, address) from error
    finally:
        await connection.close()


def _not_allowed(user: str, error: Exception) -> NotConfigured:
    return NotConfigured(
        f"{user or 'this login'} may not make a database for this ({error}): give the address of a login that has "
        "CREATEDB and CREATEROLE"
    )


def _beside(server: str, name: str) -> str:
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
