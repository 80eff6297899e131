"""The polling watcher, which serves where watchfiles isn't installed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cgk_jobs.cli import watching
from cgk_jobs.cli.watching import changed_files, polled_changes, snapshot, watcher_name


def test_it_sees_sources_and_settings_alone(tmp_path: Path) -> None:
    for name in ("a.py", ".env", "pyproject.toml", "notes.txt", ".venv/b.py", "__pycache__/c.py", "deep/d.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert {str(Path(path).relative_to(tmp_path)) for path in snapshot(tmp_path)} == {
        "a.py",
        ".env",
        "pyproject.toml",
        str(Path("deep", "d.py")),
    }


def changing(folder: Path, stop: threading.Event, *changes: Callable[[], object]) -> Callable[[], dict[str, int]]:
    """Looks at the folder, between which one change each is made; the last look ends it."""
    left = list(changes)

    def look() -> dict[str, int]:
        seen = snapshot(folder)
        if left:
            left.pop(0)()
        else:
            stop.set()
        return seen

    return look


def test_made_written_and_deleted_files_are_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    stop = threading.Event()
    look = changing(
        tmp_path,
        stop,
        lambda: path.write_text("1"),
        lambda: os.utime(path, ns=(5, 5)),
        (tmp_path / "notes.txt").touch,
        path.unlink,
    )
    found = list(polled_changes(look, stop, 0))
    assert found == [set(), {str(path)}, {str(path)}, {str(path)}]


def test_without_watchfiles_it_polls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert watcher_name() == "watchfiles"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert watcher_name() == "polling"
    polled: list[float] = []

    def instead(look: object, stop: threading.Event) -> list[set[str]]:
        polled.append(watching.LOOK_EVERY)
        return [{"a.py"}]

    monkeypatch.setattr(watching, "polled_changes", instead)
    assert list(changed_files(tmp_path, threading.Event())) == [{"a.py"}]
    assert polled
