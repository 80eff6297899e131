"""``cgk jobs dev``: workers that start again whenever the code changes, and say what they run."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from types import FrameType

import click

from cgk_jobs.cli.application import read_settings
from cgk_jobs.cli.console import say
from cgk_jobs.cli.watching import changed_files, watcher_name
from cgk_jobs.errors import NotConfigured, Unsupported

__all__ = ["dev"]

_NEW_GROUP: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)


@click.command()
@click.argument("app", metavar="[APP]", required=False)
@click.option("--port", type=click.IntRange(0, 65535), help="Not in this version: it has no page to serve.")
def dev(*, app: str | None, port: int | None) -> None:
    """Work for APP (module:attribute), start again when a file changes, and print each run.

    Ctrl-C drains; a second one ends at once.
    """
    if port is not None:
        raise Unsupported("cgk jobs dev --port (the page)", "this version", "Leave it out; cgk jobs runs and show tell the same.")  # fmt: skip
    folder = Path.cwd()
    if app is None:
        settings = read_settings()
        folder = settings.folder
        if settings.app is None:
            raise NotConfigured(
                "which application? cgk jobs dev shop.jobs:jobs, or write it into pyproject.toml: "
                '[tool.cgk-jobs] app = "shop.jobs:jobs"'
            )
    stop = threading.Event()
    worker = Worker(app)
    with _stopping(stop, worker):
        say(f"Watching {folder} ({watcher_name()}). Ctrl-C stops.", dim=True)
        for changes in changed_files(folder, stop):
            if stop.is_set():
                break
            if not changes:
                # Only now: a change made while the first worker loads the code would be missed otherwise.
                worker.start()
                continue
            names = sorted(str(Path(path).relative_to(folder)) for path in changes)
            say(f"{', '.join(names[:3])}{' and more' if len(names) > 3 else ''} changed: starting again.", fg="cyan")
            worker.stop()
            worker.start()
        worker.stop()
    say("Stopped.")


class Worker:
    """The child process that works, for ``app`` or the application of the settings. Its standard input, once closed, tells it to drain."""

    def __init__(self, app: str | None) -> None:
        self._app = app
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start a new one."""
        command = [sys.executable, "-m", "cgk_jobs.cli.dev_worker", *([] if self._app is None else [self._app])]
        self._process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            # A group of its own: Ctrl-C in the terminal reaches the parent alone, which then stops it in order.
            start_new_session=sys.platform != "win32",
            creationflags=_NEW_GROUP,
        )

    def stop(self) -> None:
        """Let it drain, and wait until it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        try:
            process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.returncode not in (0, -signal.SIGTERM):
            say(f"The worker had ended with code {process.returncode}.", fg="yellow")

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            say("Ending at once: what ran is taken up again later.", fg="yellow")
            self._process.kill()


@contextlib.contextmanager
def _stopping(stop: threading.Event, worker: Worker) -> Generator[None, None, None]:
    """Turn SIGINT and SIGTERM into ``stop``, a second one into an end at once."""

    def asked(number: int, frame: FrameType | None) -> None:
        del number, frame
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        say("Stopping: waiting for what runs.")

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except BaseException:
        worker.kill()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
