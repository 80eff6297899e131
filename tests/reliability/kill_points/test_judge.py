"""The judge of the kills sees what it is there to see: each wrong that a kill could leave, done by hand to a good ledger."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
from tests.reliability.kill_points.checker import Ledger, complaints
from tests.reliability.kill_points.lives import kill_at
from tests.reliability.kill_points.points import find
from tests.reliability.kill_points.stories import ALL
from tests.reliability.kill_points.vendor import Vendor

WRONGS = {
    "UPDATE runs SET state = 'running', worker = 1 WHERE task = 'pay'": "has not ended: running",
    "DELETE FROM runs WHERE task = 'pay' AND result = '99'": "was acknowledged, and its runs",
    "UPDATE runs SET result = '12' WHERE task = 'pay' AND result = '99'": "payouts in the ledger",
    "INSERT INTO postings SELECT * FROM postings LIMIT 1": "posted",
    "UPDATE limits SET used = 1": "left behind: used limits",
    "INSERT INTO workers SELECT 99, 1, '', '', '', '', 1, 0, 0": "left behind: workers",
    "UPDATE runs SET result = '[10,[20,30],[50,40,60,70,80]]' WHERE task = 'packs'": "gathered",
    "UPDATE runs SET state = 'completed' WHERE task = 'fulfil'": "saga: the run",
    "DELETE FROM runs WHERE seq = (SELECT max(seq) FROM runs WHERE task = 'yearly')": "ticks: runs",
    "UPDATE runs SET state = 'completed' WHERE task = 'wait'": "cancel: the tree",
    "UPDATE runs SET events = 9 WHERE task = 'count'": "lines: events",
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all stories, told well after a kill."""
    folder = tmp_path_factory.mktemp("good")
    assert kill_at(find("vendor told"), folder, stories=ALL) == []
    return folder


def judged(folder: Path) -> str:
    return "\n".join(complaints(Ledger(folder / "jobs.db"), Vendor(folder), ALL, [frozenset()]))


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(good, tmp_path / "copy")
    assert judged(tmp_path / "copy") == ""
    return tmp_path / "copy"


@pytest.mark.parametrize("wrong", WRONGS)
def test_what_is_wrong_in_the_ledger_is_seen(folder: Path, wrong: str) -> None:
    with contextlib.closing(sqlite3.connect(folder / "jobs.db")) as connection:
        assert connection.execute(wrong).rowcount
        connection.commit()
    assert WRONGS[wrong] in judged(folder)


def test_a_stored_step_that_was_done_again_is_seen(folder: Path) -> None:
    (run, step) = min(Ledger(folder / "jobs.db").stored_steps())
    Vendor(folder, 2).ask("whatever", "key", run=run, step=step)
    stored = [frozenset({(run, step)})]
    found = complaints(Ledger(folder / "jobs.db"), Vendor(folder), ALL, stored)
    assert any("was stored in life 1, and done again in life 2" in complaint for complaint in found)


@pytest.mark.parametrize("kind", ["payout", "undone", "moved shoe", "counted"])
def test_what_the_vendor_did_once_too_often_is_seen(folder: Path, kind: str) -> None:
    Vendor(folder, 2).ask(kind, "another key", value=[1] if kind == "counted" else 1)
    assert judged(folder)


def test_two_payouts_at_once_are_seen(folder: Path) -> None:
    vendor = Vendor(folder, 3)
    vendor.ask("payout begun", "1")
    vendor.ask("payout begun", "2")
    assert "two payouts at once" in judged(folder)


def test_a_key_that_was_answered_in_two_ways_is_seen(folder: Path) -> None:
    Vendor(folder, 3).ask("acknowledged", "payout-1", value=["another"])
    assert "key payout-1 was answered with" in judged(folder)
