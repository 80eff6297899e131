"""Writing ``[tool.cgk-jobs]`` into pyproject.toml: only the keys asked for; all else stays as it is, comments too."""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cgk_jobs.errors import NotConfigured

__all__ = ["difference", "read_text", "with_settings", "write_text"]

_HEAD = re.compile(r"""\s*\[\s*tool\s*\.\s*["']?cgk-jobs["']?\s*\]\s*(#.*)?$""").match
_ANY_HEAD = re.compile(r"\s*\[").match


def read_text(path: Path) -> str:
    """The file's text with its line ends as they are; empty if there is no file. Raises ``NotConfigured``."""
    if not path.exists():
        return ""
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotConfigured(f"{path} can't be read: {error}") from error


def with_settings(text: str, values: Mapping[str, str]) -> str:
    """``text`` with ``values`` in its table ``[tool.cgk-jobs]``, which is put at the end if there is none.

    Raises ``NotConfigured`` for a file written in a way this can't edit safely; it then says what to write by hand.
    """
    before = _parsed(text)
    end = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith(("\n", "\r")):
        lines[-1] += end
    start = next((at for at, line in enumerate(lines) if _HEAD(line.rstrip("\r\n"))), None)
    if start is None:
        lines += [end] if lines else []
        lines.append(f"[tool.cgk-jobs]{end}")
        start = len(lines) - 1
    for key, value in reversed(list(values.items())):
        _put(lines, start, key, f"{key} = {json.dumps(value, ensure_ascii=False)}{end}")
    changed = "".join(lines)
    before.setdefault("tool", {}).setdefault("cgk-jobs", {}).update(values)
    # The edit works on lines; whether it meant the same as TOML is asked of a TOML parser.
    if _parsed_or_none(changed) != before:
        wanted = "; ".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
        raise NotConfigured(f"pyproject.toml can't be edited safely: write {wanted} under [tool.cgk-jobs] yourself")
    return changed


def _put(lines: list[str], start: int, key: str, line: str) -> None:
    is_key = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*=""").match
    for at in range(start + 1, len(lines)):
        if _ANY_HEAD(lines[at]):
            break
        if is_key(lines[at]):
            lines[at] = line
            return
    lines.insert(start + 1, line)


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise NotConfigured(f"pyproject.toml is no TOML: {error}") from error


def _parsed_or_none(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def difference(before: str, after: str, name: str = "pyproject.toml") -> list[str]:
    """The lines of a unified diff of the file ``name``."""
    return list(difflib.unified_diff(before.splitlines(), after.splitlines(), name, name, n=2, lineterm=""))


def write_text(path: Path, text: str) -> None:
    """Replace the file at once: whoever reads it meanwhile sees the old or the new text, whole."""
    # A link is followed: its target is replaced, not the link.
    path = path.resolve()
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        draft.write_bytes(text.encode("utf-8"))
        if path.exists():
            draft.chmod(path.stat().st_mode)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
