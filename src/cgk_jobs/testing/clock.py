"""The clock of a harness: it stands still until the test moves it, and tells who works by it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cgk_jobs.clock import ManualClock

__all__ = ["START", "TestClock"]

START = datetime(2026, 1, 1, tzinfo=UTC)
"""Where a test's clock stands at first: a Thursday, midnight UTC."""


class TestClock(ManualClock):
    """A :class:`cgk_jobs.clock.ManualClock` that wakes the workers, fires the schedules and does the upkeep when moved."""

    __test__ = False  # not a class of tests, whatever pytest makes of its name

    def __init__(self, start: datetime = START) -> None:
        super().__init__(start)
        self._on_move: list[Callable[[], None]] = []

    def on_move(self, call: Callable[[], None]) -> None:
        """Call ``call`` after every move."""
        self._on_move.append(call)

    def advance(self, by: float | timedelta) -> None:
        """Move by seconds or a ``timedelta``. What is due then runs with the next drain, or at once while workers run."""
        super().advance(by)
        self._moved()

    def set(self, moment: datetime) -> None:
        """Move to an aware datetime, forwards or back."""
        super().set(moment)
        self._moved()

    def _moved(self) -> None:
        for call in self._on_move:
            call()
