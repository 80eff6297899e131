"""The keys of providers: asked for, checked by their form, written so that nobody else reads them, and never shown."""

from __future__ import annotations

import importlib
import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.unit.cli.conftest import MODULE, SHOP

from cgk_jobs.cli.main import cgk

TOKEN = "eyJVc2VySUQiOiJhYmMiLCJQYXNzd29yZCI6ImRlZiJ9"
CURRENT, FOLLOWING = "sig_" + "a" * 28, "sig_" + "b" * 28
URL = "https://shop.example/jobs"
ANSWERS = "\n".join([TOKEN, CURRENT, FOLLOWING, URL, "y", "y", ""])


@pytest.fixture
def fresh(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (folder / f"{MODULE}.py").write_text(SHOP)
    importlib.invalidate_caches()
    for name in list(os.environ):
        if name.startswith(("QSTASH_", "JOBS_")):
            monkeypatch.delenv(name)
    return folder


def setup(*arguments: str, answers: str = "") -> tuple[int, str]:
    found = CliRunner().invoke(cgk, ["setup:jobs", "--provider", "qstash", *arguments], input=answers)
    return found.exit_code, found.output


def test_each_is_asked_for_with_its_page_and_nothing_secret_is_shown(fresh: Path) -> None:
    code, output = setup(answers=ANSWERS)
    assert code == 0, output
    assert "not yet" in output, "the vendor is not reached from a test"
    assert "https://console.upstash.com/qstash" in output
    for secret in (TOKEN, CURRENT, FOLLOWING):
        assert secret not in output
    text = (fresh / ".env").read_text()
    assert f"QSTASH_TOKEN={TOKEN}" in text.replace("'", "")
    assert "JOBS_SIGNING_KEY=" in text, "made, since nobody can fetch it anywhere"
    assert stat.S_IMODE((fresh / ".env").stat().st_mode) == 0o600
    assert 'provider = "qstash"' in (fresh / "pyproject.toml").read_text()


def test_again_asks_nothing_and_changes_nothing(fresh: Path) -> None:
    setup(answers=ANSWERS)
    before = (fresh / ".env").read_text()
    code, output = setup("--yes")
    assert code == 0, output
    assert (fresh / ".env").read_text() == before


def test_what_is_there_stays(fresh: Path) -> None:
    (fresh / ".env").write_text("# ours\nOTHER='x y'\n")
    (fresh / ".env").chmod(0o644)
    assert setup(answers=ANSWERS)[0] == 0
    assert (fresh / ".env").read_text().startswith("# ours\nOTHER='x y'\n")
    assert stat.S_IMODE((fresh / ".env").stat().st_mode) == 0o600


def test_a_value_of_another_form_is_asked_for_again_and_then_given_up(fresh: Path) -> None:
    before = sorted(path.name for path in fresh.iterdir())
    code, output = setup(answers="\n".join(["nonsense", TOKEN[:5], f'"{TOKEN}"', ""]))
    assert code == 3
    assert "given wrong 3 times" in output
    assert sorted(path.name for path in fresh.iterdir()) == before


@pytest.mark.parametrize("answers", ["", f"{TOKEN}\n{CURRENT}\n", "\n".join([TOKEN, CURRENT, FOLLOWING, URL, "n", ""])])
def test_stopped_half_way_nothing_is_written(fresh: Path, answers: str) -> None:
    before = {path.name: path.read_text() for path in fresh.iterdir() if path.is_file()}
    assert setup(answers=answers)[0] == 1
    assert {path.name: path.read_text() for path in fresh.iterdir() if path.is_file()} == before


def test_without_a_person_what_is_missing_is_named_with_where_it_is_found(fresh: Path) -> None:
    code, output = setup("--yes")
    assert code == 3
    assert "QSTASH_TOKEN: tab Quickstart" in output
    assert not (fresh / ".env").exists()


def test_one_that_is_set_wrong_is_not_asked_for_and_not_repeated(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QSTASH_TOKEN", "swapped-with-another!")
    code, output = setup(answers=ANSWERS)
    assert code == 3
    assert "QSTASH_TOKEN is set and has not the form" in output
    assert "swapped" not in output


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_can_t_be_written(fresh: Path) -> None:
    (fresh / ".env").write_text("")
    (fresh / ".env").chmod(0o400)
    fresh.chmod(0o500)
    try:
        assert setup(answers=ANSWERS)[0] == 3
    finally:
        fresh.chmod(0o700)
