"""``cgk jobs schema apply``: a PostgreSQL ledger, from one administrator's address to two logins for the application."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import click

from cgk_jobs.cli.console import is_terminal, result, say, show_json
from cgk_jobs.cli.errors import NotReady, WrongUsage
from cgk_jobs.cli.options import json_option

if TYPE_CHECKING:
    from cgk_jobs.engine.postgres.logins import Login
    from cgk_jobs.engine.postgres.roles import Roles

__all__ = ["apply_schema"]

_VARIABLES = ("JOBS_DATABASE_URL", "JOBS_TENANT_DATABASE_URL")


@click.command()
@click.option("--database-url", metavar="URL", help="The administrator's address; default: JOBS_ADMIN_DATABASE_URL.")
@click.option("--roles", "prefix", metavar="PREFIX", default="cgk_jobs", show_default=True,
              help="Begins the names of the roles. Ledgers of one server with other prefixes have other roles.")  # fmt: skip
@click.option("--worker-login", metavar="LOGIN", help="An existing login for the engine; default: one is made.")
@click.option("--tenant-login", metavar="LOGIN", help="An existing login for handlers; default: one is made.")
@click.option("--new-passwords", is_flag=True, help="Give the logins this command made before new passwords.")
@click.option("--write-env", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write both addresses into this file (.env), for its owner's eyes alone, and print no password.")  # fmt: skip
@json_option
def apply_schema(
    *,
    database_url: str | None,
    prefix: str,
    worker_login: str | None,
    tenant_login: str | None,
    new_passwords: bool,
    write_env: Path | None,
    as_json: bool,
) -> None:
    """Bring a PostgreSQL ledger to this version, with its roles and two logins.

    It can be run again and again, beside working workers too. The administrator's login must be able to make roles and own
    the database; `cgk jobs schema print` shows beforehand what will be run. Passwords of new logins are shown once, on a
    terminal, or written by --write-env.
    """
    from cgk_jobs.engine.postgres.address import parse_address
    from cgk_jobs.engine.postgres.roles import Roles
    from cgk_jobs.settings import admin_address

    address = database_url or admin_address()
    if address is None:
        raise NotReady(
            "whose database? Set JOBS_ADMIN_DATABASE_URL=postgresql://admin:password@host/database or give --database-url. "
            "(An embedded ledger needs no command: it is made and migrated when it is opened.)"
        )
    shown = parse_address(address).shown
    versions, logins = asyncio.run(_apply(address, Roles(prefix), worker_login, tenant_login, new_passwords))
    if write_env is not None:
        _write_env(write_env, logins)
    hidden = write_env is not None or not is_terminal(sys.stdout)
    addresses = {
        name: _masked(login.url) if hidden else login.url for name, login in zip(_VARIABLES, logins, strict=True)
    }
    notes = [note for login in logins for note in login.notes]
    if as_json:
        show_json({"ledger": shown, "applied": versions, "environment": addresses, "notes": notes})
    else:
        for name, value in addresses.items():
            result(f"{name}={value}")
    _tell(shown, versions, logins, notes, write_env, hidden=hidden)


async def _apply(
    address: str, roles: Roles, worker: str | None, tenant: str | None, new: bool
) -> tuple[list[int], tuple[Login, Login]]:
    from cgk_jobs.engine.postgres.logins import make_logins
    from cgk_jobs.engine.postgres.migrate import apply

    versions = await apply(address, roles=roles)
    return versions, await make_logins(address, roles=roles, worker=worker, tenant=tenant, new_passwords=new)


def _tell(shown: str, versions: list[int], logins: tuple[Login, Login], notes: list[str], file: Path | None, *, hidden: bool) -> None:  # fmt: skip
    if versions:
        say(f"{shown}: applied migration {', '.join(map(str, versions))}.")
    else:
        say(f"{shown}: nothing to apply, the schema is this version's.")
    for note in notes:
        say(f"Left to do: {note}", fg="yellow")
    if file is not None:
        say(f"The addresses are in {file}.")
    elif hidden and any(login.has_password for login in logins):
        say("New passwords are not written into a pipe: run again with --new-passwords on a terminal, or with --write-env FILE too.", fg="yellow")  # fmt: skip
    known = [login.name for login in logins if not login.has_password]
    if known and file is None:
        say(f"{', '.join(known)}: the password is as it was, and not known here.")


def _masked(url: str) -> str:
    parts = urlsplit(url)
    login, _, place = parts.netloc.rpartition("@")
    user, colon, _ = login.partition(":")
    return urlunsplit(parts._replace(netloc=f"{user}{':***' if colon else ''}@{place}"))


def _write_env(path: Path, logins: tuple[Login, Login]) -> None:
    """Put both addresses into ``path``, in place of what stood there for them; all else stays.

    Raises ``WrongUsage`` for an address whose password is not known, after the other one was written.
    """
    from cgk_jobs.cli.pyproject_file import read_text

    text = before = read_text(path)
    unknown: list[str] = []
    for name, login in zip(_VARIABLES, logins, strict=True):
        line = re.compile(rf"^[ \t]*(?:export[ \t]+)?{name}[ \t]*=.*$", re.MULTILINE)
        written = f"{name}={login.url}"
        if line.search(text):
            text = line.sub(written.replace("\\", r"\\"), text) if login.has_password else text
        elif login.has_password:
            text += f"{'' if not text or text.endswith(chr(10)) else chr(10)}{written}\n"
        else:
            unknown.append(f"{name} ({login.name})")
    if text != before:
        _write_private(path.resolve(), text)
    if unknown:
        raise WrongUsage(
            f"the password for {' and '.join(unknown)} is not known here, so {path} is yours to complete; or give "
            "--new-passwords too, if this command made the login"
        )


def _write_private(path: Path, text: str) -> None:
    """Replace the file at once by one that only its owner can read, from its first byte on."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
