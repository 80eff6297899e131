"""Tables on a terminal and in a pipe."""

from __future__ import annotations

import re

import pytest
from tests.unit.cli.conftest import Terminal

from cgk_jobs.cli.tables import Column, columns_of, show_fields, show_table

COLUMNS = (
    Column("ID"),
    Column("NAME", shrinks=True),
    Column("N", right=True, optional=1),
    Column("NOTE", shrinks=True, optional=2),
)
ROWS = [("a" * 10, "short", 5, "x" * 40), ("b" * 10, "a rather long name here", 1234, None)]


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()


def test_a_pipe_gets_whole_values_between_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(COLUMNS, ROWS)
    assert lines(capsys) == [
        "\t".join(["a" * 10, "short", "5", "x" * 40]),
        "\t".join(["b" * 10, ROWS[1][1], "1234", ""]),
    ]


def test_a_tab_in_data_makes_no_column(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(COLUMNS[:2], [("a\tb", "c\nd")])
    assert lines(capsys) == ["a\\tb\tc\\nd"]


def test_a_wide_terminal_shows_all(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    terminal(100)
    show_table(COLUMNS, ROWS)
    assert lines(capsys) == [
        "ID          NAME                        N  NOTE",
        "aaaaaaaaaa  short                       5  " + "x" * 40,
        "bbbbbbbbbb  a rather long name here  1234",
    ]


@pytest.mark.parametrize("width", range(20, 100))
def test_no_line_is_wider_than_the_terminal(terminal: Terminal, capsys: pytest.CaptureFixture[str], width: int) -> None:
    terminal(width)
    show_table(COLUMNS, ROWS)
    assert max(map(len, lines(capsys))) <= width


def test_optional_cells_give_way_before_others(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    terminal(60)
    show_table(COLUMNS, ROWS)
    assert lines(capsys)[1:] == [
        "aaaaaaaaaa  short                       5  " + "x" * 16 + "…",
        "bbbbbbbbbb  a rather long name here  1234",
    ]
    terminal(45)
    show_table(COLUMNS, ROWS)
    assert lines(capsys)[0] == "ID          NAME                        N"
    terminal(30)
    show_table(COLUMNS, ROWS)
    assert lines(capsys)[0].split() == ["ID", "NAME"]
    assert columns_of("bbbbbbbbbb  a rather long nam…") == 30


def test_a_column_with_nothing_in_it_is_left_out(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    terminal(100)
    show_table(COLUMNS, [("a", "b", None, None)])
    assert lines(capsys) == ["ID  NAME", "a   b"]


def test_wide_characters_stay_aligned(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    terminal(100)
    show_table((Column("NAME"), Column("N")), [("注文", 1), ("e\u0301", 2)])
    assert lines(capsys) == ["NAME  N", "注文  1", "e\u0301     2"]


def test_a_cell_of_wide_characters_is_cut_within_its_width(
    terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(20)
    show_table((Column("A", shrinks=True), Column("B")), [("注文" * 10, "bbbbbb")])
    (line,) = lines(capsys)[1:]
    assert columns_of(line) <= 20
    assert line.endswith("bbbbbb")


def test_fields_leave_out_what_is_not_there(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    fields = [("run", "r1"), ("state", "failed"), ("error", None), ("due", ""), ("attempt", 0)]
    show_fields(fields)
    assert lines(capsys) == ["run\tr1", "state\tfailed", "attempt\t0"]
    terminal(80)
    show_fields(fields)
    out = capsys.readouterr().out
    assert "\x1b[31mfailed" in out
    assert re.sub(r"\x1b\[[0-9;]*m", "", out).splitlines()[1] == "state    failed"
