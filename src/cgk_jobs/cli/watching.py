"""Noticing that source files changed: by watchfiles where it is installed, else by looking at their times."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["changed_files", "polled_changes", "snapshot", "watcher_name"]

LOOK_EVERY = 0.5
"""Seconds between looks of the polling watcher."""
WATCHING_AFTER = 250
"""Milliseconds after which watchfiles answers though nothing has changed."""

_PASSED_OVER = frozenset({"__pycache__", "build", "dist", "node_modules", "site-packages", "venv"})
_WATCHED = frozenset({".env", "pyproject.toml"})

Times = dict[str, int]


def is_watched(name: str) -> bool:
    """Whether a change of a file of this name makes workers start again."""
    return name.endswith(".py") or name in _WATCHED


def is_passed_over(folder: str) -> bool:
    """Whether a folder of this name is not looked into: hidden, built, or of others."""
    return folder.startswith(".") or folder in _PASSED_OVER


def snapshot(folder: Path) -> Times:
    """When each watched file under ``folder`` was last written (nanoseconds)."""
    times: Times = {}
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_passed_over(name)]
        for name in files:
            if is_watched(name):
                path = Path(here, name)
                try:
                    times[str(path)] = path.stat().st_mtime_ns
                except FileNotFoundError:
                    # Gone since the folder was listed, as editors do when they save.
                    continue
    return times


def polled_changes(look: Callable[[], Times], stop: threading.Event, pause: float = LOOK_EVERY) -> Iterator[set[str]]:
    """As ``changed_files``. ``pause``: seconds between looks."""
    before = look()
    yield set()
    while not stop.wait(pause):
        after = look()
        changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        before = after
        if changed:
            yield changed


def watcher_name() -> str:
    """Which watcher ``changed_files`` uses."""
    return "watchfiles" if importlib.util.find_spec("watchfiles") else "polling"


def changed_files(folder: Path, stop: threading.Event) -> Iterator[set[str]]:
    """Sets of watched files under ``folder`` made, written or deleted, until ``stop`` is set.

    The first set is empty: it says that from now on nothing is missed.
    """
    if watcher_name() == "polling":
        yield from polled_changes(lambda: snapshot(folder), stop)
        return
    import watchfiles

    def wanted(_: object, path: str) -> bool:
        parts = Path(path).relative_to(folder).parts if Path(path).is_relative_to(folder) else Path(path).parts
        return is_watched(parts[-1]) and not any(map(is_passed_over, parts[:-1]))

    begun = False
    for changes in watchfiles.watch(
        folder,
        watch_filter=wanted,
        stop_event=stop,
        raise_interrupt=False,
        # An answer without a change is the only sign that it watches already.
        rust_timeout=WATCHING_AFTER,
        yield_on_timeout=True,
    ):
        if not begun:
            begun = True
            yield set()
        if changes:
            yield {path for _, path in changes}
