"""The keys a provider needs: found, asked for with the page that shows them, checked by their form, written to ``.env``.

No value of a secret is shown: not when it is typed, not in the difference, not in an error.
"""

from __future__ import annotations

import re
import secrets
import stat
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import click
from dotenv import dotenv_values, set_key

from cgk_jobs.cli.console import say
from cgk_jobs.cli.pyproject_file import read_text, write_text
from cgk_jobs.errors import NotConfigured
from cgk_jobs.providers.making import setup_of
from cgk_jobs.providers.provider import Setup, SetupKey

__all__ = ["EnvChange", "collect", "write_env"]

PUBLIC_URL = SetupKey(
    "JOBS_PUBLIC_URL", "", "where jobs.asgi() is reached from outside", r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?",
    "https://shop.example/jobs", secret=False,
)  # fmt: skip
SIGNING_KEY = "JOBS_SIGNING_KEY"
TRIES = 3


class EnvChange:
    """What is to be written to ``path``: variables that were not set. ``made``: those of them that were made here."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[str, str] = {}
        self.made: set[str] = set()
        self.secret: set[str] = set()

    def shown(self) -> list[str]:
        """The lines to come, secrets left out."""
        return [f"+{name}={'…' if name in self.secret else value}" for name, value in self.values.items()]


def collect(provider: str, folder: Path, environment: Mapping[str, str], *, ask: bool) -> EnvChange:
    """Find what the provider needs, and ask for the rest. Raises ``NotConfigured`` for what is missing where nobody is asked.

    Also for values that are there and have not the form of such a value: those are not asked for again, but must be mended
    where they are.
    """
    change = EnvChange(folder / ".env")
    setup = setup_of(provider)
    if setup is None:
        return change
    present = {name: value for name, value in dotenv_values(change.path).items() if value} | dict(environment)
    keys = [*setup.keys, *([PUBLIC_URL] if setup.needs_public_url else [])]
    for key in keys:
        if present.get(key.variable):
            _check_present(key, present[key.variable])
    missing = [key for key in keys if key.required and not present.get(key.variable)]
    if missing and not ask:
        where = "; ".join(f"{key.variable}: {key.where}{f' at {key.page}' if key.page else ''}" for key in missing)
        raise NotConfigured(
            f"{setup.title} needs more: {where}. Set it in the environment or in {change.path}, or run without --yes"
        )
    if missing:
        _introduce(setup)
    for key in missing:
        change.values[key.variable] = _ask(key)
        if key.secret:
            change.secret.add(key.variable)
    if setup.needs_public_url and not present.get(SIGNING_KEY):
        change.values[SIGNING_KEY] = secrets.token_urlsafe(32)
        change.secret.add(SIGNING_KEY)
        change.made.add(SIGNING_KEY)
    return change


def _check_present(key: SetupKey, value: str) -> None:
    if not re.fullmatch(key.pattern, value.strip(), re.ASCII):
        shape = f", such as {key.example}" if key.example else ""
        raise NotConfigured(
            f"{key.variable} is set and has not the form of one{shape}: copy it again ({key.where}), without quotes and spaces"
        )


def _introduce(setup: Setup) -> None:
    say(f"{setup.title} needs some values.", bold=True)
    if setup.sign_up:
        say(f"No account yet? {setup.sign_up}")
    for note in setup.notes:
        say(note)


def _ask(key: SetupKey) -> str:
    say("")
    say(f"{key.variable}: {key.where}")
    if key.page:
        say(f"  {key.page}")
    if key.example:
        say(f"  It looks like {key.example}")
    for _ in range(TRIES):
        value: str = click.prompt(key.variable, hide_input=key.secret, err=True).strip()
        if re.fullmatch(key.pattern, value, re.ASCII):
            return value
        say("That has not the form of one. Copy it again, without quotes and spaces.", fg="yellow")
    raise NotConfigured(f"{key.variable} was given wrong {TRIES} times: {key.where}")


def write_env(change: EnvChange, undo: ExitStack, changed: list[str]) -> None:
    """Add the variables to ``.env``, readable by nobody else; what is in it stays. Undone as a whole."""
    if not change.values:
        return
    path = change.path
    try:
        if path.exists():
            before, mode = read_text(path), stat.S_IMODE(path.stat().st_mode)
            undo.callback(_restore, path, before, mode)
        else:
            undo.callback(path.unlink, missing_ok=True)
            path.touch(mode=0o600)
        path.chmod(0o600)
        for name, value in change.values.items():
            set_key(path, name, value, quote_mode="auto")
    except OSError as error:
        raise NotConfigured(
            f"{path} can't be written ({error.strerror}): make it writable, or set the variables elsewhere"
        ) from error
    changed.append(str(path))


def _restore(path: Path, text: str, mode: int) -> None:
    write_text(path, text)
    path.chmod(mode)
