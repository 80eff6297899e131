"""How far a command is: a bar redrawn in place on a terminal, plain lines now and then in a pipe. Both on stderr."""

from __future__ import annotations

import sys
from types import TracebackType

from cgk_jobs.cli.console import is_terminal, printable, styled, terminal_width, write
from cgk_jobs.clock import monotonic

__all__ = ["Progress"]

REDRAW_EVERY = 0.1
"""Seconds between redraws on a terminal."""
LINES = 10
"""Lines in a pipe, at most: one for each tenth."""
_LONGEST_BAR = 40


class Progress:
    """``with Progress("orders", total) as bar: bar.at(done)``. ``note``: a few words beside the numbers."""

    def __init__(self, label: str, total: int) -> None:
        self._label = printable(label)
        self._total = max(total, 1)
        self._terminal = is_terminal(sys.stderr)
        self._drawn_at = float("-inf")
        self._tenth = -1
        self._line = ""

    def __enter__(self) -> Progress:
        return self

    def at(self, done: int, note: str = "") -> None:
        """``done`` of the total are done."""
        done = min(done, self._total)
        if self._terminal:
            now = monotonic()
            if done < self._total and now - self._drawn_at < REDRAW_EVERY:
                return
            self._drawn_at = now
            self._draw(done, printable(note))
            return
        tenth = done * LINES // self._total
        if tenth > self._tenth:
            self._tenth = tenth
            write(self._text(done, printable(note)), err=True)

    def _text(self, done: int, note: str) -> str:
        return f"{self._label} {done:,}/{self._total:,} {done * 100 // self._total}%" + (f" {note}" if note else "")

    def _draw(self, done: int, note: str) -> None:
        text = self._text(done, note)
        room = min(terminal_width() - len(text) - 4, _LONGEST_BAR)
        bar = ""
        if room >= 4:
            full = done * room // self._total
            bar = styled("━" * full, sys.stderr, fg="green") + styled("╌" * (room - full), sys.stderr, dim=True) + "  "
        self._line = text
        # The line is wiped after it was written over, not before: no flicker.
        write(f"\r{bar}{text[: terminal_width() - 1]}\x1b[K", err=True, nl=False)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._terminal and self._line:
            write("", err=True)
