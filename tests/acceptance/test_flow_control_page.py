"""The page on flow control does what it says: its code is run as printed."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.pages import ROOT, blocks, environment

from cgk_jobs import Batch, Debounce, InvalidTask, Latest, Throttle, Unique
from cgk_jobs.engine.metadata import MAX_METADATA
from cgk_jobs.tasks.flow import Flow

FILE = ROOT / "docs" / "flow-control.md"
PAGE = FILE.read_text(encoding="utf-8")


def test_the_program_prints_what_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "program.py").write_text("\n\n".join(blocks(FILE, "python")), encoding="utf-8")
    command = (sys.executable, "-W", "error", "program.py")
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (promised,) = blocks(FILE, "text")
    printed = done.stdout.splitlines()
    assert [line for line in promised.splitlines() if line not in printed] == []
    assert printed.count("exporting 1") == 1
    assert printed.count("warning eve") == 2


def test_the_pairs_it_allows_are_those_there_are() -> None:
    options: dict[str, Any] = {
        "unique": Unique(), "debounce": Debounce(1), "throttle": Throttle(1, 1), "batch": Batch(2, 1),
        "ordered_by": ("order_id",), "latest": Latest(),
    }  # fmt: skip
    section = PAGE.partition("## What goes together")[2].partition("Other pairs")[0]
    said: set[frozenset[str]] = set()
    for sentence in section.split(";"):
        first, *others = re.findall(r"`(\w+)`", sentence)
        said |= {frozenset((first, other)) for other in others}
    there: set[frozenset[str]] = set()
    for pair in combinations(options, 2):
        try:
            Flow(**{name: options[name] for name in pair})
        except InvalidTask:
            continue
        there.add(frozenset(pair))
    assert said == there


@pytest.mark.parametrize("number", [f"{MAX_METADATA:,}"])
def test_its_figures_are_those_of_the_code(number: str) -> None:
    assert number in PAGE
