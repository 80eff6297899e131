"""Finding the applications of a project by reading its sources, without running any of them."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

from cgk_jobs.cli.watching import is_passed_over

__all__ = ["find_applications"]

MOST_FILES = 5_000
"""Files looked into at most: a folder with more is not one project."""


def find_applications(folder: Path) -> list[str]:
    """``module:attribute`` of every ``name = Jobs(…)`` at the top of a module under ``folder``, tests left out."""
    found: list[str] = []
    for path in _sources(folder):
        try:
            code = path.read_text(encoding="utf-8")
            if "cgk_jobs" not in code or "Jobs(" not in code:
                continue
            tree = ast.parse(code)
        except (OSError, UnicodeDecodeError, SyntaxError, ValueError):
            # Not for us to judge: a file that is no Python of this version holds no application to run.
            continue
        module = _module_of(path.relative_to(folder))
        found += [f"{module}:{name}" for name in _assigned(tree)]
    return sorted(found)


def _sources(folder: Path) -> Iterator[Path]:
    count = 0
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "tests" and not is_passed_over(name))
        for name in sorted(files):
            if name.endswith(".py") and not name.startswith("test_") and name != "conftest.py":
                count += 1
                if count > MOST_FILES:
                    return
                yield Path(here, name)


def _assigned(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        else:
            continue
        if isinstance(node.value, ast.Call) and _is_jobs(node.value.func):
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def _is_jobs(called: ast.expr) -> bool:
    return (isinstance(called, ast.Name) and called.id == "Jobs") or (
        isinstance(called, ast.Attribute) and called.attr == "Jobs"
    )


def _module_of(path: Path) -> str:
    parts = list(path.with_suffix("").parts)
    if parts[0] == "src" and len(parts) > 1:
        del parts[0]
    if parts[-1] == "__init__" and len(parts) > 1:
        parts.pop()
    return ".".join(parts)
