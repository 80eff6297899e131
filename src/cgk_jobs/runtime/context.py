"""What a handler gets beside its event."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from pydantic import BaseModel

from cgk_jobs.clock import Clock, from_micros, to_micros
from cgk_jobs.errors import InvalidEvent, RunCancelled, StaleClaim
from cgk_jobs.events.event import Event
from cgk_jobs.events.sent import Duration, Sent
from cgk_jobs.runtime.approving import ApprovalLink, Links, approval_link
from cgk_jobs.runtime.calling import Call, as_calls, call_group, prepare
from cgk_jobs.runtime.delivery import Claim
from cgk_jobs.runtime.history import History, StepLog
from cgk_jobs.runtime.matching import Match
from cgk_jobs.runtime.results import encode_result
from cgk_jobs.runtime.stepping import run_step, take_options
from cgk_jobs.runtime.waiting import sleep_until, wait_for, wait_seconds
from cgk_jobs.tasks.task import Task
from cgk_jobs.wire.ids import to_id
from cgk_jobs.wire.json import dumps
from cgk_jobs.wire.text import storable

if TYPE_CHECKING:
    from cgk_jobs.runtime.context_sync import SyncContext

__all__ = ["Context", "Services"]

E = TypeVar("E", bound=Event)

_logger = logging.getLogger("cgk_jobs.run")

MAX_LOG_LINES = 1_000
"""Lines kept of one attempt; the last says how many were left out."""
MAX_LINE = 4_000
"""Characters kept of a line."""
MAX_DEPTH = 100
"""How many runs deep calls may be."""


class Sender(Protocol):
    """Sends for a handler."""

    async def __call__(self, event: Any, *events: Any, **options: Any) -> Any: ...


class Services:
    """What every context of an application shares.

    ``find_event``: the class of an event's name, raises ``UnknownEvent``. ``max_result_bytes``: of a result or payload.
    ``max_depth``: how many runs deep calls may be.
    """

    __slots__ = ("clock", "find_event", "journal", "links", "max_depth", "max_result_bytes", "send")

    def __init__(
        self,
        *,
        journal: StepLog,
        send: Sender,
        clock: Clock,
        max_result_bytes: int,
        find_event: Callable[[str], type[Event]],
        links: Links,
        max_depth: int = MAX_DEPTH,
    ) -> None:
        self.journal = journal
        self.send = send
        self.clock = clock
        self.max_result_bytes = max_result_bytes
        self.find_event = find_event
        self.links = links
        self.max_depth = max_depth


class Context:
    """One attempt of one run: who and what it is, and the durable operations. A handler's second argument.

    ``tenant_id``, ``attempt`` (1 is the first), ``max_attempts``, ``event`` (the decoded event, payload or tick) and
    ``fence``, which rises at every claim of the run: it lets the handler's own writes refuse those of an older attempt.
    """

    __slots__ = (
        "_history", "_lines", "_log", "_main", "_started_at", "attempt", "cancelled", "claim", "event", "max_attempts",
        "services", "tenant_id", "timeout",
    )  # fmt: skip

    def __init__(self, claim: Claim, event: Any, max_attempts: int, timeout: float, services: Services) -> None:
        self.tenant_id = claim.tenant_id
        self.attempt = claim.attempt
        self.max_attempts = max_attempts
        self.event = event
        self.cancelled = False
        """True once somebody cancelled this run, its time is over, or the attempt lost its run."""
        self.claim = claim
        self.timeout = timeout
        """Seconds this attempt may take."""
        self.services = services
        self._started_at = services.clock.micros()
        self._main = asyncio.current_task()
        self._history: History | None = None
        self._log: logging.LoggerAdapter[logging.Logger] | None = None
        self._lines: list[tuple[int, str, str]] | None = None

    @property
    def history(self) -> History:
        """The run's journal as this attempt sees it."""
        if self._history is None:
            self._history = History(self.claim, self.services.journal)
            self._history.main = self._main
        return self._history

    @property
    def used_history(self) -> History | None:
        """The same, if the handler has used it."""
        return self._history

    @property
    def run_id(self) -> str:
        """The run's UUIDv7."""
        return to_id(self.claim.seq, self.claim.nonce)

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self.claim.task

    @property
    def fence(self) -> int:
        """The claim's number: a later claim of this run has a larger one."""
        return self.claim.token

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of task and send."""
        return tuple(self.claim.tags.split(",")) if self.claim.tags else ()

    @property
    def deadline(self) -> datetime:
        """When this attempt's time is over (UTC)."""
        return from_micros(self._started_at) + timedelta(seconds=self.timeout)

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

    def give_back(self, lines: list[tuple[int, str, str]]) -> None:
        """Lines that were taken and could not be written: the next to take some gets them first."""
        self.lines[:0] = lines

    @property
    def sync(self) -> SyncContext:
        """The same operations, blocking: for plain functions, which run in a thread."""
        from cgk_jobs.runtime.context_sync import SyncContext

        return SyncContext(self)

    # -- durable operations ------------------------------------------------------------------------------------------

    async def step(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``function`` once for the whole run and return its result, in later attempts from the journal.

        The result goes through JSON, so that every attempt sees the same. Options, where the function has no parameter of
        that name itself:

        - ``retry=Retry(…)``: tried again within the attempt; failures are counted in the journal, and a longer wait suspends
          the run. When they are used up, ``StepFailed``, in later attempts too.
        - ``timeout=``: seconds or ``timedelta`` for one try, ``TimeoutError`` after it. A plain function then runs in a
          thread, which goes on unheard.
        - ``undo=``: a function of the step's result, or ``(function, argument, …)``, called if the run fails for good.
        - ``connection=``: the result is committed with what the function writes on this connection.

        Raises ``StaleClaim`` if this attempt lost its run, ``JournalMismatch`` if the code was changed under it,
        ``InvalidResult`` (a ``ValueError``) for a result that can't be stored and ``PayloadTooLarge`` for a large one: these
        two end the run, as the function would do its work once more; ``InvalidTask`` and ``Unsupported`` for options that
        can't work, and whatever ``function`` raises.
        """
        options = take_options(name, function, kwargs)
        return await run_step(self, name, partial(function, *args, **kwargs), options)

    async def sleep(self, duration: Duration) -> None:
        """Suspend for seconds or a ``timedelta``: no slot is held, and the handler runs again from its first line."""
        wait = wait_seconds(duration, "sleep")
        await sleep_until(self, lambda: self.services.clock.micros() + round(wait * 1e6))

    async def sleep_until(self, moment: datetime) -> None:
        """Suspend until an aware datetime. Raises ``ValueError`` for a naive one."""
        until = to_micros(moment)
        await sleep_until(self, lambda: until)

    @overload
    async def wait_for(
        self, event: type[E], match: Match = None, timeout: Duration | None = None, *, name: str | None = None
    ) -> E: ...

    @overload
    async def wait_for(
        self, event: str, match: Match = None, timeout: Duration | None = None, *, name: str | None = None
    ) -> Event: ...

    async def wait_for(
        self, event: type[Event] | str, match: Match = None, timeout: Duration | None = None, *, name: str | None = None
    ) -> Event:
        """Suspend until an event of this tenant comes, and return it.

        ``match``: the values of fields it must have, ``{"order_id": "1"}``, or the name of a field that must be as in this
        run's own event. It may have been sent before the wait began, but not before this run was; after a wait for the same,
        only a later one counts. ``name``: of the entry in the journal, the event's by default. Raises ``WaitTimeout`` after
        ``timeout`` seconds, ``UnknownEvent``, ``InvalidEvent`` for a field one of the events lacks.
        """
        return await wait_for(self, self._class_of(event), match, timeout, name)

    def _class_of(self, event: type[Event] | str) -> type[Event]:
        cls = self.services.find_event(event) if isinstance(event, str) else event
        if not cls.event_name:
            raise InvalidEvent(f'{cls.__qualname__} has no event name, so none is ever sent: class …(Event, name="…")')
        return cls

    def approval_link(
        self, event: type[Event] | str, match: Match = None, *, expires: Duration, name: str | None = None
    ) -> ApprovalLink:
        """A signed link by which a person sends ``event`` to this tenant, without signing in: ``link.url``, ``link.token``.

        ``match`` as in :meth:`wait_for`: fields the link settles; who answers gives the others. Good for ``expires``
        (seconds or ``timedelta``). Answered twice the same it is sent once; answered otherwise the second time is
        ``DuplicateKey``. ``name``: links of this run with the same name are one decision; by default those with the same
        fields are. Raises ``NotConfigured`` without ``JOBS_SIGNING_KEY``, ``UnknownEvent``, ``InvalidEvent`` for a field one
        of the events lacks, or a secret one.
        """
        return approval_link(self, self._class_of(event), match, expires, name)

    def call(self, task: Task[Any], payload: BaseModel, *, name: str | None = None) -> Call:
        """Run another task for this tenant and wait for its result, suspended: ``await ctx.call(task, payload)``.

        ``name``: of the entry in the journal, the task's id by default. Awaiting it raises ``RunFailed``, ``RunCancelled``
        or ``RunExpired`` if the run ended so; uncaught, these end this run too, as another attempt can't help.
        Raises ``InvalidTask``, ``InvalidEvent``, ``TenantMismatch``, ``CallTooDeep``.
        """
        return Call(self, prepare(self, task, payload), name)

    async def gather(
        self, *calls: Call, concurrency: int | None = None, return_exceptions: bool = False, name: str = "gather"
    ) -> list[Any]:
        """Make several calls at once and wait until all have ended; the results in their order.

        Raises the first failure then, unless ``return_exceptions``. ``concurrency``: at most so many at a time.
        """
        found = as_calls(calls)
        return await call_group(self, found, name, _at_least_one(concurrency), return_exceptions=return_exceptions)

    async def map(
        self,
        task: Task[Any],
        payloads: Iterable[BaseModel],
        *,
        concurrency: int | None = None,
        return_exceptions: bool = False,
        name: str = "map",
    ) -> list[Any]:
        """As :meth:`gather`, a call of one task for each payload."""
        calls = [prepare(self, task, payload) for payload in payloads]
        return await call_group(self, calls, name, _at_least_one(concurrency), return_exceptions=return_exceptions)

    async def send(self, event: Event | str, *events: Any, **options: Any) -> Sent | list[Sent]:
        """Send from inside the run, for its own tenant; options as in ``jobs.send``.

        An attempt made again sends again: give ``key=ctx.idempotency_key("…")``, or send inside a step.
        """
        answer: Sent | list[Sent] = await self.services.send(event, *events, **options)
        return answer

    async def progress(self, fraction: float, message: str = "") -> None:
        """Keep how far the run is (0 to 1), for who looks at it. Raises ``StaleClaim``, ``ValueError``."""
        if not 0 <= fraction <= 1:
            raise ValueError(f"progress({fraction}): a share from 0 to 1")
        text = dumps({"fraction": fraction, "message": storable(message[:500])})
        if not await self.services.journal.progress(self.claim, text):
            self.cancelled = True
            raise StaleClaim(f"progress was not stored: this attempt lost run {self.run_id}; stop working on it")

    async def metadata(self, **fields: Any) -> None:
        """Keep small facts about the run, for who looks at it: merged into those kept before, ``None`` removes one.

        They outlast the attempt. Raises ``PayloadTooLarge`` over 16,384 characters of JSON in all, ``StaleClaim``, and
        ``InvalidResult`` (a ``ValueError``) for a value that can't be stored.
        """
        if not await self.services.journal.metadata(self.claim, encode_result("the metadata", fields) or "{}"):
            self.cancelled = True
            raise StaleClaim(f"metadata was not stored: this attempt lost run {self.run_id}; stop working on it")

    def check_cancelled(self) -> None:
        """Raise ``RunCancelled`` if somebody cancelled this run or its time is over; for loops in plain functions."""
        if self.cancelled:
            raise RunCancelled(f"run {self.run_id} was cancelled or ran out of time")

    def idempotency_key(self, step: str) -> str:
        """A key for calls to the outside: the same in every attempt of this run and step."""
        return f"{self.run_id}:{step}"


def _at_least_one(concurrency: int | None) -> int | None:
    if concurrency is not None and concurrency < 1:
        raise InvalidEvent(f"concurrency={concurrency}: at least 1; leave it out for all at once")
    return concurrency


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
        except Exception:  # whatever a value's __str__ or a wrong placeholder raises: logging fails no attempt
            text = f"{msg if isinstance(msg, str) else type(msg).__name__}: its values can't be read"
        if self._kept == MAX_LOG_LINES:
            text = "further lines of this attempt are not kept"
        moment = self._ctx.services.clock.micros()
        self._ctx.lines.append((moment, logging.getLevelName(level), storable(text[:MAX_LINE])))
