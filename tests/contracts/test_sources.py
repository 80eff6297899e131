"""What the tools cannot hold about the sources: who asks the time, how long a file is, what it is called.

Import directions are held by import-linter (``make check``).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "cgk_jobs"
SOURCES = sorted(PACKAGE.rglob("*.py"))

LONGEST_FILE = 400
NAMES_THAT_SAY_NOTHING = {"common", "util", "utils"}
ASKS_THE_TIME = {
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "time.monotonic",
    "time.monotonic_ns",
    "time.perf_counter",
    "time.perf_counter_ns",
    "time.process_time",
    "time.process_time_ns",
    "time.time",
    "time.time_ns",
}


def may_ask_the_time(source: Path) -> bool:
    """``clock.py``, and benchmarks, which measure the machine itself."""
    inside = source.relative_to(PACKAGE)
    return inside == Path("clock.py") or "benchmarks" in inside.parts


def time_questions(code: str) -> Iterator[tuple[int, str]]:
    """Line and full name of every mention of a function that asks the time, called or handed on."""
    tree = ast.parse(code)
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    imported[alias.asname] = alias.name
                else:
                    top = alias.name.partition(".")[0]
                    imported[top] = top
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            name = full_name(node, imported)
            if name in ASKS_THE_TIME:
                yield node.lineno, name


def full_name(node: ast.expr, imported: dict[str, str]) -> str | None:
    """The dotted name an expression stands for, where it begins with something imported."""
    if isinstance(node, ast.Name):
        return imported.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = full_name(node.value, imported)
        return f"{owner}.{node.attr}" if owner else None
    return None


def test_there_are_sources() -> None:
    assert PACKAGE / "clock.py" in SOURCES


def test_only_the_clock_asks_the_time() -> None:
    found = [
        f"{source.relative_to(PACKAGE)}:{line} asks {name}: take a Clock, or use cgk_jobs.clock"
        for source in SOURCES
        if not may_ask_the_time(source)
        for line, name in time_questions(source.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import time\ntime.time()", "time.time"),
        ("import time as t\nt.monotonic()", "time.monotonic"),
        ("from time import perf_counter as pc\npc()", "time.perf_counter"),
        ("import time\ndef f(ask=time.monotonic): ...", "time.monotonic"),
        ("from datetime import datetime, UTC\ndatetime.now(UTC)", "datetime.datetime.now"),
        ("import datetime as dt\ndt.datetime.utcnow()", "datetime.datetime.utcnow"),
        ("import datetime\ndatetime.date.today()", "datetime.date.today"),
    ],
)
def test_a_question_is_seen_however_it_is_written(code: str, name: str) -> None:
    assert [seen for _, seen in time_questions(code)] == [name]


@pytest.mark.parametrize(
    "code",
    [
        "import time\ntime.sleep(0)",
        "from cgk_jobs.clock import monotonic\nmonotonic()",
        "from datetime import datetime\ndatetime.fromisoformat('2026-01-01')",
        "class C:\n    time = 1\nC().time",
    ],
)
def test_what_does_not_ask_is_let_through(code: str) -> None:
    assert not list(time_questions(code))


def test_no_file_is_too_long() -> None:
    lengths = {source: len(source.read_text(encoding="utf-8").splitlines()) for source in SOURCES}
    found = [
        f"{source.relative_to(PACKAGE)} has {length} lines, over {LONGEST_FILE}: look for its second subject"
        for source, length in lengths.items()
        if length > LONGEST_FILE
    ]
    assert not found, "\n".join(found)


def test_names_say_something() -> None:
    found = [
        f"{source.relative_to(PACKAGE)}: name it for what it does"
        for source in SOURCES
        if NAMES_THAT_SAY_NOTHING & {*source.relative_to(PACKAGE).parent.parts, source.stem}
    ]
    assert not found, "\n".join(found)
