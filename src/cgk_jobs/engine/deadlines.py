"""Ends attempts whose time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from cgk_jobs.runtime.execute import Attempt

__all__ = ["Deadlines"]


class Deadlines:
    """Watches the attempts of one worker, by the running loop's time.

    One timer, for the earliest end: setting one for each attempt would cost as much as the attempt.
    """

    def __init__(self, running: Mapping[int, Attempt], loop: asyncio.AbstractEventLoop) -> None:
        self._running = running
        self._loop = loop
        self._until = float("inf")
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, attempt: Attempt) -> None:
        """An attempt began: give it its time."""
        deadline = attempt.deadline = self._loop.time() + attempt.declared.timeout
        if deadline < self._until:
            self._set(deadline)

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _set(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._until = deadline
        self._timer = self._loop.call_at(deadline, self._end_overdue)

    def _end_overdue(self) -> None:
        now = self._loop.time()
        following = float("inf")
        for attempt in tuple(self._running.values()):
            if attempt.deadline <= now:
                attempt.end("timeout")
            else:
                following = min(following, attempt.deadline)
        self._until = following
        if following < float("inf"):
            self._set(following)
