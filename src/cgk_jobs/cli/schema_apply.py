"""``cgk jobs schema apply``: a PostgreSQL ledger, from one administrator's address to two logins for the application."""

from __future__ import annotations

import asyncio
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
    addresses = {name: _masked(login.url) if hidden else login.url for name, login in zip(_VARIABLES, logins, strict=True)}
    notes = [note for login in logins for note in login.notes]
    if as_json:
        show_json({"ledger": shown, "applied": versions, "environment": addresses, "notes": notes})
    else:
        for name, value in addresses.items():
            result(f"{name}={value}")
    _tell(shown, versions, logins, notes, write_env, hidden=hidden)


async def _apply(address: str, roles: object, worker: str | None, tenant: str | None, new: bool) -> tuple[list[int], tuple[Login, Login]]:  # fmt: skip
    from cgk_jobs.engine.postgres.logins import make_logins
    from cgk_jobs.engine.postgres.migrate import apply
    from cgk_jobs.engine.postgres.roles import Roles

    assert isinstance(roles, Roles)
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
    """Put both addresses into ``path``, in place of what stood there for them; all else stays. Raises ``WrongUsage``."""
    from cgk_jobs.cli.pyproject_file import read_text, write_text

    text = read_text(path)
    for name, login in zip(_VARIABLES, logins, strict=True):
        line = re.compile(rf"^[ \t]*(?:export[ \t]+)?{name}[ \t]*=.*$", re.MULTILINE)
        if not login.has_password:
            if line.search(text):
                continue
            raise WrongUsage(
                f"the password of {login.name} is not known here, so {name} can't be written to {path}: write it yourself, "
                "or give --new-passwords too if this command made the login"
            )
        written = f"{name}={login.url}"
        if line.search(text):
            text = line.sub(lambda _, written=written: written, text)
        else:
            text += f"{'' if not text or text.endswith(chr(10)) else chr(10)}{written}\n"
    path.touch(mode=0o600)
    path.chmod(0o600)
    write_text(path, text)
