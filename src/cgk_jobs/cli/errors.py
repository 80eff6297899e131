"""From errors to exit codes: 0 done, 1 failed, 2 wrong usage, 3 not configured, 4 provider unreachable."""

from __future__ import annotations

import sys
from typing import IO, Any

import click

from cgk_jobs.cli.console import printable, styled, write
from cgk_jobs.errors import (
    InvalidEvent,
    InvalidTask,
    JobsError,
    NotConfigured,
    ProviderUnavailable,
    TenantMismatch,
    TenantRequired,
    Unsupported,
)

__all__ = ["CommandGroup", "Failure", "NotReady", "Unreachable", "WrongUsage", "failure_of"]


class Failure(click.ClickException):
    """Ends the command with a message on stderr and its ``exit_code``."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the message to stderr."""
        del file
        label = styled("error:", sys.stderr, fg="red", bold=True)
        write(f"{label} {printable(self.message, keep=chr(10))}", err=True)


class WrongUsage(Failure):
    """The command was given what it can't take."""

    exit_code = 2


class NotReady(Failure):
    """Something has to be set up first."""

    exit_code = 3


class Unreachable(Failure):
    """The provider or its ledger does not answer."""

    exit_code = 4


def failure_of(error: JobsError) -> Failure:
    """How a command ends that met ``error``."""
    if isinstance(error, ProviderUnavailable):
        return Unreachable(str(error))
    if isinstance(error, NotConfigured):
        return NotReady(str(error))
    if isinstance(error, TenantRequired | TenantMismatch | InvalidEvent | InvalidTask | Unsupported):
        return WrongUsage(str(error))
    return Failure(str(error))


class CommandGroup(click.Group):
    """The outermost group: turns what the package raises into messages and exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command chosen."""
        try:
            return super().invoke(ctx)
        except JobsError as error:
            raise failure_of(error) from error
