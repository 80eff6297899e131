"""What reaches a terminal is only what is meant to."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.unit.cli.conftest import Terminal

from cgk_jobs.cli.console import hear_logging, printable, say, show_json, styled


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Zoë, 注文, 👩\u200d🍳", "Zoë, 注文, 👩\u200d🍳"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("two\nlines\tand\rmore", "two\\nlines\\tand\\rmore"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202ecba", "abc\\u202ecba"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_control_characters_are_shown_and_not_obeyed(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_characters_that_are_asked_for_stay() -> None:
    assert printable("a\nb\x00", keep="\n") == "a\nb\\x00"


def test_json_is_the_same_value_and_holds_no_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"order": "\x9b31m\u202e\x7f\x1b", "name": "Zoë"}
    show_json(value)
    out = capsys.readouterr().out
    assert json.loads(out) == value
    assert "Zoë" in out
    assert all(char == "\n" or printable(char) == char for char in out)


def test_messages_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    say("bad \x1b[2J\nnext", fg="red")
    assert capsys.readouterr() == ("", "bad \\x1b[2J\nnext\n")


def test_colours_are_for_terminals_that_may_show_them(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert styled("x", sys.stdout, fg="red") == "x"
    terminal(80)
    assert styled("x", sys.stdout, fg="red") == "\x1b[31mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert styled("x", sys.stdout, fg="red") == "x"
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("TERM", "dumb")
    assert styled("x", sys.stdout, fg="red") == "x"


@contextmanager
def nobody_listens() -> Iterator[logging.Logger]:
    """The root logger without the handlers of the test run, which are back at the end."""
    root, ours = logging.getLogger(), logging.getLogger("cgk_jobs")
    before, level = root.handlers[:], ours.level
    root.handlers.clear()
    try:
        yield root
    finally:
        root.handlers[:] = before
        ours.setLevel(level)


def test_logging_is_heard_and_the_asked_for_crossing_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    with nobody_listens() as root:
        hear_logging()
        hear_logging()
        logging.getLogger("cgk_jobs.engine").warning("worker %d is dead", 3)
        logging.getLogger("cgk_jobs.tenancy").warning("acting across tenants: cgk jobs runs")
        assert len(root.handlers) == 1
    assert capsys.readouterr().err == "worker 3 is dead\n"


def test_an_application_that_set_up_logging_keeps_it() -> None:
    own = logging.NullHandler()
    with nobody_listens() as root:
        root.addHandler(own)
        hear_logging(logging.INFO)
        assert root.handlers == [own]
