"""What a handler gets beside its event."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol

from cgk_jobs.clock import Clock, from_micros, to_micros
from cgk_jobs.errors import RunCancelled, StaleClaim
from cgk_jobs.events.event import Event
from cgk_jobs.events.sent import Duration, Sent, seconds
from cgk_jobs.wire.json import dumps, loads

__all__ = ["Context", "StepLog", "Suspend"]

_logger = logging.getLogger("cgk_jobs.run")


class StepLog(Protocol):
    """The journal of one run. ``record`` is False if the attempt lost its run."""

    async def load(self) -> dict[str, str | None]: ...

    async def record(self, name: str, result: str | None) -> bool: ...


class Suspend(BaseException):
    """Unwinds a handler that sleeps. A ``BaseException``, so that ``except Exception`` lets it pass."""

    def __init__(self, until: int) -> None:
        super().__init__(until)
        self.until = until


class Context:
    """One attempt of one run: who and what it is, and the durable operations."""

    def __init__(
        self,
        *,
        tenant_id: str,
        run_id: str,
        task_id: str,
        attempt: int,
        max_attempts: int,
        fence: int,
        deadline: datetime,
        tags: tuple[str, ...],
        event: Any,
        journal: StepLog,
        send: Callable[..., Any],
        clock: Clock,
    ) -> None:
        self.tenant_id = tenant_id
        self.run_id = run_id
        self.attempt = attempt
        self.max_attempts = max_attempts
        self.fence = fence
        """Rises at every claim of the run: lets the handler's own writes refuse an older attempt."""
        self.deadline = deadline
        self.tags = tags
        self.event = event
        self.cancelled = False
        self.log = logging.LoggerAdapter(
            _logger, {"tenant_id": tenant_id, "run_id": run_id, "task": task_id, "attempt": attempt}
        )
        self._journal = journal
        self._send = send
        self._clock = clock
        self._finished: dict[str, str | None] | None = None
        self._uses: dict[str, int] = {}

    async def _journalled(self, name: str) -> tuple[str, bool, str | None]:
        # The same name again, as in a loop, is the next place: mail, mail#2, mail#3.
        use = self._uses[name] = self._uses.get(name, 0) + 1
        place = name if use == 1 else f"{name}#{use}"
        if self._finished is None:
            self._finished = await self._journal.load()
        return place, place in self._finished, self._finished.get(place)

    async def _record(self, name: str, result: str | None) -> None:
        if not await self._journal.record(name, result):
            raise StaleClaim(f"step {name!r} was not stored: this attempt lost run {self.run_id}; stop working on it")

    async def step(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call ``function`` once for the whole run and return its result, in later attempts from the journal.

        The result goes through JSON, so that every attempt sees the same. Raises ``StaleClaim`` if this attempt lost
        its run, ``ValueError`` for a result without JSON form, and whatever ``function`` raises.
        """
        place, known, stored = await self._journalled(name)
        if not known:
            result = function(*args, **kwargs)
            if inspect.isawaitable(result):
                result = await result
            stored = dumps(result)
            await self._record(place, stored)
        return loads(stored) if stored is not None else None

    async def sleep(self, duration: Duration) -> None:
        """Suspend for seconds or a ``timedelta``: no slot is held, and the handler runs again from its first line."""
        place, known, stored = await self._journalled("sleep")
        if known and stored is not None:
            until = int(stored)
        else:
            until = self._clock.micros() + round(seconds(duration) * 1e6)
            await self._record(place, str(until))
        if until > self._clock.micros():
            raise Suspend(until)

    async def sleep_until(self, moment: datetime) -> None:
        """Suspend until an aware datetime. Raises ``ValueError`` for a naive one."""
        wait = moment - from_micros(self._clock.micros()) if to_micros(moment) else timedelta(0)
        await self.sleep(max(wait, timedelta(0)))

    async def send(self, event: Event | str, *events: Any, **options: Any) -> Sent | list[Sent]:
        """Send from inside the run, for its own tenant; options as in ``jobs.send``."""
        answer: Sent | list[Sent] = await self._send(event, *events, **options)
        return answer

    def check_cancelled(self) -> None:
        """Raise ``RunCancelled`` if somebody cancelled this run or its time is over; for loops in plain functions."""
        if self.cancelled or from_micros(self._clock.micros()) > self.deadline:
            raise RunCancelled(f"run {self.run_id} was cancelled or ran out of time")

    def idempotency_key(self, step: str) -> str:
        """A key for calls to the outside: the same in every attempt of this run and step."""
        return f"{self.run_id}:{step}"
