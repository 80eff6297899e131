"""A clock that makes messages."""

from __future__ import annotations

from typing import Any

from cgk_jobs.clock import from_micros, to_micros
from cgk_jobs.errors import InvalidSchedule
from cgk_jobs.tasks.schedule import Cron
from cgk_jobs.testing.peers.qstash.messages import Message, Rejected

__all__ = ["Schedule"]


class Schedule:
    """``message`` is copied at each ring. ``cron`` as in ``Upstash-Cron``, ``next_at`` unix seconds. Raises ``Rejected``."""

    def __init__(self, id: str, cron: str, message: Message, now: float) -> None:
        zone, _, expression = cron.partition(" ") if cron.startswith("CRON_TZ=") else ("", "", cron)
        self.id, self.text, self.message = id, cron, message
        try:
            self.cron = Cron(expression, zone.removeprefix("CRON_TZ=") or "UTC")
        except InvalidSchedule as error:
            raise Rejected("invalid cron expression") from error
        self.paused = False
        self.created_at = now
        self.next_at = self.after(now)

    def after(self, now: float) -> float:
        """The next time after ``now``."""
        return to_micros(self.cron.next_after(from_micros(round(now * 1e6)))) / 1e6

    def shown(self) -> dict[str, Any]:
        """As the service shows it."""
        message = self.message.shown()
        return {
            "scheduleId": self.id,
            "cron": self.text,
            "destination": self.message.url,
            "method": self.message.method,
            "body": message["body"],
            "header": message["header"],
            "retries": self.message.retries,
            "createdAt": int(self.created_at * 1000),
            "isPaused": self.paused,
            "nextScheduleTime": int(self.next_at * 1000),
        }
