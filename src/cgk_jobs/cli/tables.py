"""Tables: aligned and cut to the width on a terminal; in a pipe, lines of tab-separated values, whole and without a head."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cgk_jobs.cli.console import is_terminal, printable, result, styled, terminal_width

__all__ = ["Column", "show_fields", "show_table", "state_colour"]

GAP = "  "
NARROWEST = 8
"""Columns to which a cell is cut at most."""
READABLE = 24
"""Columns that a cell keeps as long as an optional column could go instead."""

_STATE_COLOURS = {
    "completed": "green",
    "running": "cyan",
    "retrying": "yellow",
    "waiting": "blue",
    "scheduled": "blue",
    "failed": "red",
    "expired": "red",
    "cancelled": "magenta",
}


def state_colour(state: str) -> str | None:
    """The colour of a run's state, or ``None`` for the terminal's own."""
    return _STATE_COLOURS.get(state)


@dataclass(frozen=True, slots=True)
class Column:
    """A column. ``shrinks``: it may be cut; ``optional``: it is left out of a narrow terminal, the highest number first."""

    title: str
    right: bool = False
    shrinks: bool = False
    optional: int = 0
    colour: Callable[[str], str | None] | None = None


def show_table(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
    """Write a table to stdout. ``None`` is an empty cell."""
    cells = [["" if cell is None else printable(str(cell)) for cell in row] for row in rows]
    if not is_terminal(sys.stdout):
        for row in cells:
            result("\t".join(row))
        return
    kept, widths = _fit(columns, cells, terminal_width())
    head = [_cell(columns[at].title, widths[at], columns[at].right) for at in kept]
    result(styled(GAP.join(head).rstrip(), sys.stdout, bold=True))
    for row in cells:
        line: list[str] = []
        for at in kept:
            column = columns[at]
            text = _cell(row[at], widths[at], column.right)
            if at == kept[-1] and not column.right:
                text = text.rstrip()
            colour = column.colour(row[at]) if column.colour else None
            line.append(styled(text, sys.stdout, fg=colour) if colour else text)
        result(GAP.join(line).rstrip())


def _fit(columns: Sequence[Column], cells: list[list[str]], room: int) -> tuple[list[int], dict[int, int]]:
    """Which columns are shown, and how wide."""
    widths = {
        at: max([columns_of(column.title), *(columns_of(row[at]) for row in cells)])
        for at, column in enumerate(columns)
    }
    # A column in which nothing stands tells nothing.
    kept = [at for at in widths if not columns[at].optional or any(row[at] for row in cells)]

    def excess(width_of: Callable[[int], int]) -> int:
        return sum(map(width_of, kept)) + len(GAP) * (len(kept) - 1) - room

    def shrink(floor: int, only_optional: bool = False) -> None:
        while excess(widths.__getitem__) > 0:
            # The widest cell gives way, one column of the terminal at a time.
            shrinking = [
                at
                for at in kept
                if columns[at].shrinks and widths[at] > floor and (columns[at].optional or not only_optional)
            ]
            if not shrinking:
                return
            widths[max(shrinking, key=widths.__getitem__)] -= 1

    def wanted(at: int) -> int:
        return min(widths[at], NARROWEST if columns[at].optional else READABLE) if columns[at].shrinks else widths[at]

    while excess(wanted) > 0:
        optional = [at for at in kept if columns[at].optional]
        if not optional:
            break
        kept.remove(max(optional, key=lambda at: columns[at].optional))
    shrink(READABLE)
    shrink(NARROWEST, only_optional=True)
    shrink(NARROWEST)
    return kept, widths


def show_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Names and values, one a line; those that are ``None`` or empty are left out."""
    shown = [(name, printable(str(value))) for name, value in fields if value not in (None, "", (), [])]
    if not is_terminal(sys.stdout):
        for name, value in shown:
            result(f"{name}\t{value}")
        return
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        label = styled(name.ljust(width), sys.stdout, dim=True)
        colour = state_colour(value) if name == "state" else None
        result(f"{label}{GAP}{styled(value, sys.stdout, fg=colour) if colour else value}")


def columns_of(text: str) -> int:
    """How many columns of a terminal a text takes: Chinese characters and most emoji two, accents none."""
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


def _cell(text: str, width: int, right: bool) -> str:
    room = width - columns_of(text)
    if room < 0:
        text = _cut(text, width)
        room = width - columns_of(text)
    return " " * room + text if right else text + " " * room


def _cut(text: str, width: int) -> str:
    kept = ""
    taken = 0
    for char in text:
        taken += _columns(char)
        if taken > width - 1:
            break
        kept += char
    return kept + "…"
