"""What a handler gets beside its event."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from cgk_jobs.clock import Clock, from_micros, to_micros
from cgk_jobs.errors import InvalidEvent, PayloadTooLarge, RunCancelled, StaleClaim, Unsupported
from cgk_jobs.events.event import Event
from cgk_jobs.events.sent import Duration, Sent, seconds
from cgk_jobs.runtime.delivery import Claim
from cgk_jobs.wire.ids import to_id
from cgk_jobs.wire.json import dumps, loads

if TYPE_CHECKING:
    from cgk_jobs.runtime.context_sync import SyncContext

__all__ = ["Context", "Services", "StepLog", "Suspend"]

_logger = logging.getLogger("cgk_jobs.run")

MAX_LOG_LINES = 1_000
"""Lines kept of one attempt; the last says how many were left out."""
MAX_LINE = 4_000
"""Characters kept of a line."""


class StepLog(Protocol):
    """The journal of runs. The writing verbs are False if the attempt lost its run."""

    async def load(self, claim: Claim) -> dict[str, str | None]: ...

    async def record(self, claim: Claim, name: str, result: str | None) -> bool: ...

    async def progress(self, claim: Claim, progress: str) -> bool: ...

    async def metadata(self, claim: Claim, changes: str) -> bool: ...


class Sender(Protocol):
    """Sends for a handler."""

    async def __call__(self, event: Any, *events: Any, **options: Any) -> Any: ...


class Services:
    """What every context of an application shares: journal, sender, clock, and the largest result in bytes."""

    __slots__ = ("clock", "journal", "max_result_bytes", "send")

    def __init__(self, *, journal: StepLog, send: Sender, clock: Clock, max_result_bytes: int) -> None:
        self.journal = journal
        self.send = send
        self.clock = clock
        self.max_result_bytes = max_result_bytes


class Suspend(BaseException):
    """Unwinds a handler that sleeps. A ``BaseException``, so that ``except Exception`` lets it pass."""

    def __init__(self, until: int) -> None:
        super().__init__(until)
        self.until = until


class Context:
    """One attempt of one run: who and what it is, and the durable operations. A handler's second argument.

    ``tenant_id``, ``attempt`` (1 is the first), ``max_attempts``, ``event`` (the decoded event, payload or tick) and
    ``fence``, which rises at every claim of the run: it lets the handler's own writes refuse those of an older attempt.
    """

    __slots__ = (
        "_claim", "_finished", "_lines", "_log", "_services", "_started_at", "_timeout", "_uses", "attempt", "cancelled",
        "event", "max_attempts", "tenant_id",
    )  # fmt: skip

    def __init__(self, claim: Claim, event: Any, max_attempts: int, timeout: float, services: Services) -> None:
        self.tenant_id = claim.tenant_id
        self.attempt = claim.attempt
        self.max_attempts = max_attempts
        self.event = event
        self.cancelled = False
        """True once somebody cancelled this run, its time is over, or the attempt lost its run."""
        self._claim = claim
        self._timeout = timeout
        self._services = services
        self._started_at = services.clock.micros()
        self._finished: dict[str, str | None] | None = None
        self._uses: dict[str, int] | None = None
        self._log: logging.LoggerAdapter[logging.Logger] | None = None
        self._lines: list[tuple[int, str, str]] | None = None

    @property
    def run_id(self) -> str:
        """The run's UUIDv7."""
        return to_id(self._claim.seq, self._claim.nonce)

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self._claim.task

    @property
    def fence(self) -> int:
        """The claim's number: a later claim of this run has a larger one."""
        return self._claim.token

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of task and send."""
        return tuple(self._claim.tags.split(",")) if self._claim.tags else ()

    @property
    def deadline(self) -> datetime:
        """When this attempt's time is over (UTC)."""
        return from_micros(self._started_at) + timedelta(seconds=self._timeout)

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose lines carry tenant, run, task and attempt, and are kept with the run from INFO on."""
        if self._log is None:
            self._log = _RunLog(self)
        return self._log

    @property
    def lines(self) -> list[tuple[int, str, str]]:
        """What was logged and not handed over yet: microseconds, level, message."""
        if self._lines is None:
            self._lines = []
        return self._lines

    def take_lines(self) -> list[tuple[int, str, str]]:
        """Hand over what was logged so far."""
        lines, self._lines = self._lines, None
        return lines or []

    @property
    def sync(self) -> SyncContext:
        """The same operations, blocking: for plain functions, which run in a thread."""
        from cgk_jobs.runtime.context_sync import SyncContext

        return SyncContext(self)

    # -- durable operations ------------------------------------------------------------------------------------------

    async def _journalled(self, name: str) -> tuple[str, bool, str | None]:
        if not name or len(name) > 200 or "#" in name:
            raise InvalidEvent(f"step name {name!r}: 1 to 200 characters without #")
        if self._uses is None:
            self._uses = {}
        # The same name again, as in a loop, is the next place: mail, mail#2, mail#3.
        use = self._uses[name] = self._uses.get(name, 0) + 1
        place = name if use == 1 else f"{name}#{use}"
        if self._finished is None:
            # A run claimed for the first time has no journal.
            first = self._claim.token == 1
            self._finished = {} if first else await self._services.journal.load(self._claim)
        return place, place in self._finished, self._finished.get(place)

    async def _record(self, name: str, result: str | None) -> None:
        if not await self._services.journal.record(self._claim, name, result):
            raise self._lost(f"step {name!r}")

    def _lost(self, what: str) -> StaleClaim:
        self.cancelled = True
        return StaleClaim(f"{what} was not stored: this attempt lost run {self.run_id}; stop working on it")

    async def step(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``function`` once for the whole run and return its result, in later attempts from the journal.

        The result goes through JSON, so that every attempt sees the same. Raises ``StaleClaim`` if this attempt lost
        its run, ``ValueError`` for a result without JSON form, ``PayloadTooLarge``, ``Unsupported`` for the options
        ``retry``, ``timeout``, ``undo`` and ``connection``, which don't exist yet, and whatever ``function`` raises.
        """
        refused = {"retry", "timeout", "undo", "connection"} & kwargs.keys()
        if refused and not refused <= inspect.signature(function).parameters.keys():
            raise Unsupported(
                f"ctx.step({', '.join(sorted(refused))}=)",
                "this version",
                "Retry inside the function, or fail the run.",
            )
        place, known, stored = await self._journalled(name)
        if not known:
            result = function(*args, **kwargs)
            if inspect.isawaitable(result):
                result = await result
            stored = None if result is None else dumps(result)
            if stored is not None and len(stored) > self._services.max_result_bytes:
                raise PayloadTooLarge(
                    f"step {name!r}: {len(stored):,} characters of JSON, the limit is {self._services.max_result_bytes:,}. "
                    "Store the data and return a reference to it"
                )
            await self._record(place, stored)
        return None if stored is None else loads(stored)

    async def sleep(self, duration: Duration) -> None:
        """Suspend for seconds or a ``timedelta``: no slot is held, and the handler runs again from its first line."""
        wait = seconds(duration)
        if not 0 <= wait < 100 * 366 * 86_400:
            raise InvalidEvent(f"sleep({duration!r}): zero or more seconds, at most a hundred years")
        await self._sleep_until(lambda: self._services.clock.micros() + round(wait * 1e6))

    async def sleep_until(self, moment: datetime) -> None:
        """Suspend until an aware datetime. Raises ``ValueError`` for a naive one."""
        until = to_micros(moment)
        await self._sleep_until(lambda: until)

    async def _sleep_until(self, chosen: Callable[[], int]) -> None:
        place, known, stored = await self._journalled("sleep")
        if known and stored is not None:
            until = int(stored)
        else:
            until = chosen()
            await self._record(place, str(until))
        if until > self._services.clock.micros():
            raise Suspend(until)

    async def send(self, event: Event | str, *events: Any, **options: Any) -> Sent | list[Sent]:
        """Send from inside the run, for its own tenant; options as in ``jobs.send``.

        An attempt made again sends again: give ``key=ctx.idempotency_key("…")``, or send inside a step.
        """
        answer: Sent | list[Sent] = await self._services.send(event, *events, **options)
        return answer

    async def progress(self, fraction: float, message: str = "") -> None:
        """Keep how far the run is (0 to 1), for who looks at it. Raises ``StaleClaim``, ``ValueError``."""
        if not 0 <= fraction <= 1:
            raise ValueError(f"progress({fraction}): a share from 0 to 1")
        text = dumps({"fraction": fraction, "message": message[:500]})
        if not await self._services.journal.progress(self._claim, text):
            raise self._lost("progress")

    async def metadata(self, **fields: Any) -> None:
        """Keep small facts about the run, for who looks at it: merged into those kept before, ``None`` removes one.

        They outlast the attempt. Raises ``PayloadTooLarge`` over 16,384 characters of JSON in all, ``StaleClaim``, and
        ``ValueError`` for a value without JSON form.
        """
        if not await self._services.journal.metadata(self._claim, dumps(fields)):
            raise self._lost("metadata")

    def check_cancelled(self) -> None:
        """Raise ``RunCancelled`` if somebody cancelled this run or its time is over; for loops in plain functions."""
        if self.cancelled:
            raise RunCancelled(f"run {self.run_id} was cancelled or ran out of time")

    def idempotency_key(self, step: str) -> str:
        """A key for calls to the outside: the same in every attempt of this run and step."""
        return f"{self.run_id}:{step}"

    # -- not built yet -----------------------------------------------------------------------------------------------

    def wait_for(self, *_: Any, **__: Any) -> NoReturn:
        """Not in this version."""
        raise Unsupported("ctx.wait_for", "this version", "Let the event start a task of its own: @jobs.task(on=…).")

    def call(self, *_: Any, **__: Any) -> NoReturn:
        """Not in this version."""
        raise Unsupported(
            "ctx.call", "this version", "Send an event from the handler and let its task go on from there."
        )

    def gather(self, *_: Any, **__: Any) -> NoReturn:
        """Not in this version."""
        raise Unsupported("ctx.gather", "this version", "Use asyncio.gather inside one step.")

    def map(self, *_: Any, **__: Any) -> NoReturn:
        """Not in this version."""
        raise Unsupported("ctx.map", "this version", "Send an event for each item with jobs.send_many.")


class _RunLog(logging.LoggerAdapter[logging.Logger]):
    """Logs to ``cgk_jobs.run`` and keeps the lines."""

    def __init__(self, ctx: Context) -> None:
        super().__init__(
            _logger,
            {"tenant_id": ctx.tenant_id, "run_id": ctx.run_id, "task": ctx.task_id, "attempt": ctx.attempt},
        )
        self._ctx = ctx
        self._kept = 0

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        if level >= logging.INFO:
            self._keep(level, msg, args)
        super().log(level, msg, *args, **kwargs)

    def _keep(self, level: int, msg: object, args: tuple[object, ...]) -> None:
        self._kept += 1
        if self._kept > MAX_LOG_LINES:
            return
        try:
            text = str(msg) % args if args else str(msg)
        except (TypeError, ValueError):
            text = f"{msg} {args}"
        if self._kept == MAX_LOG_LINES:
            text = "further lines of this attempt are not kept"
        moment = self._ctx._services.clock.micros()  # pyright: ignore[reportPrivateUsage]
        self._ctx.lines.append((moment, logging.getLevelName(level), text[:MAX_LINE]))
