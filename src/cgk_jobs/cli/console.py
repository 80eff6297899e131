"""What a command says, and where: results on stdout, messages on stderr; colours and widths only on a terminal."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import unicodedata
from typing import Any, TextIO

import click

__all__ = [
    "hear_logging",
    "is_terminal",
    "printable",
    "result",
    "say",
    "show_json",
    "styled",
    "terminal_width",
    "write",
]

_JOINER = "\u200d"
"""Joins emoji; harmless, and needed to show them."""


def printable(text: str, *, keep: str = "") -> str:
    """``text`` with everything a terminal would obey instead of show written as an escape, save the characters in ``keep``.

    Job data comes from outside: a tenant's order name must not move the cursor, set the window's title or turn the
    reading direction round.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(char, keep) for char in text)


def _shown(char: str, keep: str) -> str:
    if char in keep or char == _JOINER or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return char
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char) or _escape(char)


def _escape(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at the stream."""
    return stream.isatty()


def terminal_width() -> int:
    """Columns of the terminal (``COLUMNS`` wins), at least 20."""
    return max(shutil.get_terminal_size().columns, 20)


def styled(text: str, stream: TextIO, **style: Any) -> str:
    """``text`` in colour if ``stream`` is a terminal that may show it: ``NO_COLOR`` and ``TERM=dumb`` say no."""
    style = {name: value for name, value in style.items() if value is not None}
    plain = not is_terminal(stream) or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return text if plain or not style else click.style(text, **style)


def write(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Write text as it is: whether it has colours was decided by ``styled``, and not once more by click."""
    click.echo(text, err=err, nl=nl, color=True)


def result(text: str) -> None:
    """A line of the command's result, shown as it is: neutralise data in it with ``printable`` first."""
    write(text)


def say(message: str, **style: Any) -> None:
    """A message for whoever runs the command: on stderr, so that a pipe gets results alone."""
    write(styled(printable(message, keep="\n"), sys.stderr, **style), err=True)


def show_json(value: object) -> None:
    """The result as one JSON document. Moments are UTC in ISO 8601."""
    from pydantic_core import to_jsonable_python

    text = json.dumps(to_jsonable_python(value), indent=2, ensure_ascii=False)
    # Beyond what JSON itself escapes; such characters stand inside strings only, where this form means the same.
    write("".join(char if char == "\n" or _shown(char, "") == char else _json_escape(char) for char in text))


def _json_escape(char: str) -> str:
    return json.dumps(char)[1:-1]


class _Messages(logging.Handler):
    """Log records as messages."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record), **({"fg": "yellow"} if record.levelno >= logging.WARNING else {"dim": True}))


def hear_logging(level: int = logging.WARNING, form: str = "%(message)s") -> None:
    """Show log records on stderr, unless the application has set up logging itself."""
    root = logging.getLogger()
    if any(not isinstance(handler, _Messages) for handler in root.handlers):
        return
    handler = _Messages(level)
    handler.setFormatter(logging.Formatter(form))
    # Whoever types --all-tenants knows; an application's own handlers still get this record.
    handler.addFilter(lambda record: record.name != "cgk_jobs.tenancy")
    root.handlers[:] = [handler]
    logging.getLogger("cgk_jobs").setLevel(level)
