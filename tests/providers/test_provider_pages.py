"""The pages of providers say what there is: their code runs, their variables are read, their extras can be installed."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from pathlib import Path

import pytest
from tests.acceptance.pages import ROOT, blocks

from cgk_jobs.settings import VARIABLES

PAGES = sorted((ROOT / "docs" / "providers").glob("*.md"))
OTHER_VARIABLES = {
    "JOBS_PROVIDER",
    "JOBS_PUBLIC_URL",
    "JOBS_SIGNING_KEY",
    "JOBS_DATABASE_URL",
    "DATABASE_URL",
    "CRON_TZ",
}
"""Those every provider has, and a word of a vendor's that looks like one."""


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_its_code_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for code in blocks(path, "python"):
        space: dict[str, object] = {"__name__": "page"}
        compiled = compile(code, str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if compiled.co_flags & inspect.CO_COROUTINE:
            continue  # it asks the vendor: tests of the provider do
        exec(compiled, space)
        space["jobs"].close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_its_variables_are_read(path: Path) -> None:
    said = set(re.findall(r"`([A-Z][A-Z0-9]+_[A-Z0-9_]+)(?:=[^`]*)?`", path.read_text()))
    said |= {name for code in blocks(path, "sh") for name in re.findall(r"([A-Z][A-Z0-9_]+)=", code)}
    assert said <= {*VARIABLES, *OTHER_VARIABLES}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_its_extras_can_be_installed(path: Path) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for code in blocks(path, "sh"):
        assert set(re.findall(r"cgk-jobs\[([a-z_]+)\]", code)) <= extras.keys()
