"""From errors to exit codes: 0 done, 1 failed, 2 wrong usage, 3 not configured, 4 provider unreachable."""

from __future__ import annotations

import sys
from typing import IO, Any

import click

from cgk_jobs.cli.console import printable, styled
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

__all__ = ["FAILED", "NOT_CONFIGURED", "UNREACHABLE", "WRONG_USAGE", "CommandGroup", "Failure", "failure_of"]

FAILED = 1
WRONG_USAGE = 2
NOT_CONFIGURED = 3
UNREACHABLE = 4


class Failure(click.ClickException):
    """Ends the command with a message on stderr and ``exit_code``."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the message to stderr."""
        del file
        label = styled("error:", sys.stderr, fg="red", bold=True)
        click.echo(f"{label} {printable(self.message, keep=chr(10))}", err=True)


def failure_of(error: JobsError) -> Failure:
    """How a command ends that met ``error``."""
    code = FAILED
    if isinstance(error, ProviderUnavailable):
        code = UNREACHABLE
    elif isinstance(error, NotConfigured):
        code = NOT_CONFIGURED
    elif isinstance(error, TenantRequired | TenantMismatch | InvalidEvent | InvalidTask | Unsupported):
        code = WRONG_USAGE
    return Failure(str(error), code)


class CommandGroup(click.Group):
    """The outermost group: turns what the package raises into messages and exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command chosen."""
        try:
            return super().invoke(ctx)
        except JobsError as error:
            raise failure_of(error) from error
