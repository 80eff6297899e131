"""Progress on a terminal and in a pipe."""

from __future__ import annotations

import pytest
from tests.unit.cli.conftest import Terminal

from cgk_jobs.cli.progress import Progress


def test_a_pipe_gets_a_line_for_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("orders", 1000) as bar:
        for done in range(1001):
            bar.at(done, "going")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[:2] == ["orders 0/1,000 0% going", "orders 100/1,000 10% going"]
    assert len(err.splitlines()) == 11
    assert "\x1b" not in err
    assert "\r" not in err


def test_a_terminal_gets_one_line_drawn_anew(
    terminal: Terminal, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal(60)
    now = 100.0
    monkeypatch.setattr("cgk_jobs.cli.progress.monotonic", lambda: now)
    with Progress("orders", 10) as bar:
        bar.at(0)
        bar.at(3)
        now += 0.2
        bar.at(5, "\x1b[2J")
        bar.at(10)
    err = capsys.readouterr().err
    drawings = err.split("\r")[1:]
    # The second came too soon; the last is always drawn.
    assert len(drawings) == 3
    assert "5/10 50% \\x1b[2J" in drawings[1]
    assert all(drawing.rstrip("\n").endswith("\x1b[K") for drawing in drawings)
    assert err.count("\n") == 1
    assert err.endswith("\n")


def test_more_than_all_is_all(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("orders", 0) as bar:
        bar.at(5)
    assert capsys.readouterr().err == "orders 1/1 100%\n"
