"""The child of ``cgk jobs dev``: works until its standard input ends, and prints a line for each start and end.

Input and not a signal tells it to stop: that also works on Windows, and when the parent was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING

import click

from cgk_jobs import signals
from cgk_jobs.cli.application import opened_application
from cgk_jobs.cli.console import hear_logging, printable, say, styled, write
from cgk_jobs.cli.errors import CommandGroup
from cgk_jobs.cli.formats import duration
from cgk_jobs.clock import Clock, from_micros, monotonic
from cgk_jobs.signals import Signal

if TYPE_CHECKING:
    from cgk_jobs.app import Jobs

__all__ = ["RunLines", "cli"]

_ENDINGS = {
    "completed": "green",
    "failed": "red",
    "cancelled": "magenta",
    "lost": "yellow",
    "retrying": "yellow",
}
_WORDS = {signals.RUN_SUSPENDED: "sleeps", signals.RUN_PUT_BACK: "put back", signals.RUN_RETRYING: "retrying"}


class RunLines:
    """Turns signals into lines: time, tenant, task, what happened, how long it took."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun: dict[object, float] = {}

    def __call__(self, signal: Signal) -> None:
        """Print a signal's line, if it has one."""
        if signal.name == signals.RUN_STARTED:
            self._begun[signal.fields["run_id"]] = monotonic()
            self._line(signal, "started", None, "")
        elif signal.name in (signals.RUN_FINISHED, *_WORDS):
            begun = self._begun.pop(signal.fields["run_id"], None)
            word = _WORDS.get(signal.name) or str(signal.fields["outcome"])
            more = "" if begun is None else duration(monotonic() - begun)
            if signal.fields["error"]:
                more += f"  {printable(str(signal.fields['error']))}"
            if word == "failed":
                more += f"  cgk jobs show {signal.fields['run_id']} --tenant {signal.tenant_id}"
            self._line(signal, word, _ENDINGS.get(word), more)

    def _line(self, signal: Signal, word: str, colour: str | None, more: str) -> None:
        at = from_micros(self._clock.micros()).astimezone().isoformat(sep=" ", timespec="milliseconds")[11:23]
        attempt = signal.fields["attempt"]
        task = str(signal.fields["task"]) + (f" (attempt {attempt})" if attempt != 1 else "")
        style = {"fg": colour} if colour else {"dim": True}
        write(
            f"{styled(at, sys.stdout, dim=True)}  {printable(signal.tenant_id):<12}  {printable(task):<32}  "
            f"{styled(f'{word:<9}', sys.stdout, **style)}  {more}".rstrip()
        )


async def _work(jobs: Jobs) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def until_input_ends() -> None:
        # Below Python's own file, whose lock this thread would hold while the interpreter shuts down.
        while os.read(sys.stdin.fileno(), 1024):
            continue
        with contextlib.suppress(RuntimeError):  # the loop is closed: it has stopped already
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=until_input_ends, name="cgk-jobs-parent", daemon=True).start()
    await jobs.start()
    try:
        await stop.wait()
    finally:
        await jobs.stop()


@click.group(cls=CommandGroup, invoke_without_command=True)
@click.argument("app", required=False)
def cli(app: str | None) -> None:
    """Work for APP, or the application of the settings, until standard input ends."""
    with opened_application(app) as jobs:
        hear_logging(logging.INFO, "%(levelname)s %(name)s: %(message)s")
        silence = jobs.signals.listen(RunLines(jobs.clock))
        say(f"Working: {len(jobs.tasks)} tasks.", dim=True)
        try:
            asyncio.run(_work(jobs))
        finally:
            silence()


if __name__ == "__main__":
    cli()
