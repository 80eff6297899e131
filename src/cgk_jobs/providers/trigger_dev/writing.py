"""A generated project on disk: what differs, and writing it without touching what others wrote.

A manifest beside the files says which of them were generated and what they held then. A file that is not in it, or was changed
since, is somebody's, and is neither overwritten nor deleted unless that is asked for.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from cgk_jobs.errors import NotConfigured

__all__ = ["MANIFEST", "Difference", "compare", "write"]

MANIFEST = ".cgk-generated.json"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Difference:
    """``changed`` and ``obsolete``: paths to write and to delete. ``foreign``: those among them that are somebody's own work.

    ``diff``: all of it as a unified diff.
    """

    changed: tuple[str, ...] = ()
    obsolete: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    diff: str = ""
    left: tuple[str, ...] = field(default=())
    """Generated once, not any more, and changed since: they stay, whatever is asked for."""

    def __bool__(self) -> bool:
        return bool(self.changed or self.obsolete)


def compare(folder: Path, wanted: Mapping[str, str]) -> Difference:
    """How the project in ``folder`` differs from ``wanted``. Raises ``NotConfigured`` for a manifest that can't be read."""
    known = _read_manifest(folder)
    changed: list[str] = []
    foreign: list[str] = []
    pieces: list[str] = []
    for path in sorted(wanted):
        before = _read(folder / path)
        if before == wanted[path]:
            continue
        changed.append(path)
        if before is not None and known.get(path) != _digest(before):
            foreign.append(path)
        pieces.append(_diff(path, before, wanted[path]))
    obsolete: list[str] = []
    left: list[str] = []
    for path in sorted(known.keys() - wanted.keys()):
        before = _read(folder / path)
        if before is None:
            continue
        if known[path] != _digest(before):
            left.append(path)
            continue
        obsolete.append(path)
        pieces.append(_diff(path, before, None))
    return Difference(tuple(changed), tuple(obsolete), tuple(foreign), "".join(pieces), tuple(left))


def write(folder: Path, wanted: Mapping[str, str], difference: Difference) -> None:
    """Make the project what is wanted. Each file is replaced as a whole; the manifest comes first and last.

    First with what was and what will be, so that a process that dies in between leaves nothing it would not know again.
    """
    known = _read_manifest(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fresh = {path: _digest(text) for path, text in wanted.items()}
    # A file that was not yet written still counts by its old digest, one that was by being what is wanted.
    _write_manifest(folder, {**fresh, **known})
    for path in difference.changed:
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        _replace(place, wanted[path])
    for path in difference.obsolete:
        (folder / path).unlink(missing_ok=True)
    _write_manifest(folder, {**fresh, **{path: known[path] for path in difference.left}})


def _read_manifest(folder: Path) -> dict[str, str]:
    text = _read(folder / MANIFEST)
    if text is None:
        return {}
    try:
        found: Any = json.loads(text)
        if found["version"] != _VERSION:
            raise ValueError("another version")
        listed = cast("dict[object, object]", found["files"]).items()
        known = {str(path): str(digest) for path, digest in listed}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotConfigured(
            f"{folder / MANIFEST} can't be read: restore it, or generate into an empty folder"
        ) from error
    # It names files to delete: none outside, whoever edited it.
    return {path: digest for path, digest in known.items() if _is_inside(path)}


def _is_inside(path: str) -> bool:
    parts = Path(path).parts
    return bool(parts) and not Path(path).is_absolute() and ".." not in parts


def _write_manifest(folder: Path, known: Mapping[str, str]) -> None:
    _replace(
        folder / MANIFEST, json.dumps({"version": _VERSION, "files": dict(sorted(known.items()))}, indent=2) + "\n"
    )


def _replace(place: Path, text: str) -> None:
    fresh = place.with_name(f"{place.name}.{os.getpid()}.new")
    fresh.write_text(text, encoding="utf-8", newline="\n")
    fresh.replace(place)


def _read(place: Path) -> str | None:
    try:
        return place.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise NotConfigured(f"{place} can't be read: {type(error).__name__}") from error


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _diff(path: str, before: str | None, after: str | None) -> str:
    lines = difflib.unified_diff(
        (before or "").splitlines(keepends=True),
        (after or "").splitlines(keepends=True),
        "/dev/null" if before is None else f"a/{path}",
        "/dev/null" if after is None else f"b/{path}",
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
