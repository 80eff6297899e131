"""The vendor: everybody outside the ledger who is asked for something, as a book that outlives every kill.

Each line is on the disk before the call returns, and whoever calls may be killed right after. A vendor worth the name does
a thing once for each idempotency key, however often it is asked; the book keeps both, what was asked and what was done.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Line", "Vendor"]


class Line(NamedTuple):
    """One line of the book. ``life``: which of the processes of the scenario wrote it, counted from 1."""

    life: int
    kind: str
    key: str
    run: str
    step: str
    value: Any
    refused: bool


class Vendor:
    """The book in a folder, opened by the process that is the ``life``-th of its scenario."""

    def __init__(self, folder: Path, life: int = 0) -> None:
        self.path = folder / "vendor"
        self.life = life

    def ask(
        self, kind: str, key: str, *, run: str = "", step: str = "", value: Any = None, refuse: bool = False
    ) -> Any:
        """Ask for something; answers ``value``. ``refuse``: the vendor says no, with ``ConnectionError``."""
        line = Line(self.life, kind, key, run, step, value, refuse)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, (json.dumps(line) + "\n").encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if refuse:
            raise ConnectionError(f"the vendor is not there: {key}")
        return value

    def was_asked(self, key: str) -> bool:
        """Whether anybody has asked with this key before, served or not."""
        return any(line.key == key for line in self.lines())

    def lines(self, kind: str = "") -> list[Line]:
        """Every line, in the order written."""
        if not self.path.exists():
            return []
        found = [Line(*json.loads(text)) for text in self.path.read_text().splitlines()]
        return [line for line in found if kind in ("", line.kind)]

    def effects(self, kind: str) -> dict[str, Any]:
        """What was done, by key: asked for again it is not done again. In the order first done."""
        done: dict[str, Any] = {}
        for line in self.lines(kind):
            if not line.refused:
                done.setdefault(line.key, line.value)
        return done
