"""A declared task: its handler and its options, checked when declared."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel

from cgk_jobs.errors import InvalidTask, NotConfigured
from cgk_jobs.events.event import Event
from cgk_jobs.events.sent import TAG_RULE, Duration, Sent, are_tags
from cgk_jobs.tasks.flow import Flow, as_fields
from cgk_jobs.tasks.policy import Limit, Priority, Rate, Retry
from cgk_jobs.tasks.schedule import Cron, Misfire

if TYPE_CHECKING:
    from types import CodeType

__all__ = [
    "DEFAULT_QUEUE",
    "DEFAULT_TIMEOUT",
    "Handler",
    "Isolation",
    "Middleware",
    "Next",
    "ScheduleSpec",
    "Task",
    "TenantsMode",
]

DEFAULT_QUEUE = "default"
DEFAULT_TIMEOUT = 300.0
"""Seconds an attempt may take where a task states none: a hung handler must not hold its slot for ever."""

Isolation = Literal["thread", "process"]
TenantsMode = Literal["each", "seen", "platform"]
Handler = Callable[..., Any]
Next = Callable[[], Awaitable[Any]]

InputT = TypeVar("InputT", bound=BaseModel)
PolicyT = TypeVar("PolicyT", Limit, Rate)

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}").fullmatch


class Middleware(Protocol):
    """Wraps every attempt of a task: ``async def __call__(ctx, call_next)``; returns what ``await call_next()`` returned."""

    def __call__(self, ctx: Any, call_next: Next, /) -> Awaitable[Any]: ...


class TaskSender(Protocol):
    """What a task needs to send itself: the application it was declared on, or included in."""

    async def send_task(self, task: Task[Any], payload: BaseModel, options: dict[str, Any], /) -> Sent: ...

    async def call_task(self, task: Task[Any], payload: BaseModel, timeout: Duration | None, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """When a cron task runs, and for whom. ``spread`` is seconds over which the tenants of a tick are laid out."""

    cron: Cron
    tenants: TenantsMode = "platform"
    misfire: Misfire = "latest"
    spread: float = 0.0
    skip: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.tenants not in ("each", "seen", "platform"):
            raise InvalidTask(f"tenants={self.tenants!r}: choose each, seen or platform")
        if self.misfire not in ("latest", "all", "skip"):
            raise InvalidTask(f"misfire={self.misfire!r}: choose latest, all or skip")
        if self.spread < 0:
            raise InvalidTask("spread is seconds, zero or more")


def seconds_of(value: float | timedelta | None, name: str) -> float | None:
    """Seconds of a duration option. Raises ``InvalidTask`` unless positive."""
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if not 0 < seconds < float("inf"):
        raise InvalidTask(f"{name} must be more than 0 seconds, got {value!r}")
    return seconds


@dataclass(eq=False)
class Task(Generic[InputT]):
    """One task of an application. ``jobs.task`` and ``jobs.cron`` make them; durations are seconds.

    Calling it calls the handler itself, as a unit test would.
    """

    id: str
    handler: Handler
    on: type[Event] | None = None
    payload: type[BaseModel] | None = None
    schedule: ScheduleSpec | None = None
    retry: Retry = field(default_factory=Retry)
    timeout: float = DEFAULT_TIMEOUT
    queue: str = DEFAULT_QUEUE
    priority: Priority = field(default_factory=Priority)
    concurrency: tuple[Limit, ...] = ()
    rates: tuple[Rate, ...] = ()
    expires: float | None = None
    tags: tuple[str, ...] = ()
    middleware: tuple[Middleware, ...] = ()
    isolation: Isolation = "thread"
    flow: Flow = field(default_factory=Flow)
    share_payload: bool = False
    is_async: bool = field(init=False)
    wants_context: bool = field(init=False)
    sender: TaskSender | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if _ID(self.id) is None:
            raise InvalidTask(
                f"task id {self.id!r}: 1 to 128 letters, digits and . _ -, starting with a letter or digit"
            )
        if _ID(self.queue) is None:
            raise InvalidTask(f"task {self.id}: queue {self.queue!r} must be letters, digits and . _ -")
        if not are_tags(self.tags):
            raise InvalidTask(f"task {self.id}: {TAG_RULE}")
        if self.isolation not in ("thread", "process"):
            raise InvalidTask(f"task {self.id}: isolation={self.isolation!r}: choose thread or process")
        is_async = inspect.iscoroutinefunction(self.handler)
        if is_async and self.isolation == "process":
            raise InvalidTask(
                f'task {self.id}: isolation="process" runs a plain function; write `def`, not `async def`'
            )
        if inspect.isasyncgenfunction(self.handler) or inspect.isgeneratorfunction(self.handler):
            raise InvalidTask(f"task {self.id}: a handler returns a value; a generator is not run")
        self.is_async = is_async
        self.wants_context = _takes_two(self.id, self.handler)
        self._check_scopes()
        if self.flow:
            self.flow.check(self.id, self.on or self.payload)

    def _check_scopes(self) -> None:
        model: type[BaseModel] | None = self.on or self.payload
        for scope in [limit.per for limit in self.concurrency] + [rate.per for rate in self.rates]:
            if scope in ("tenant", "task"):
                continue
            if self.flow.batch is not None and scope not in as_fields(self.flow.batch.by):
                raise InvalidTask(
                    f"task {self.id}: per={scope!r} differs within a batch: batch by {scope!r} too, or limit per tenant"
                )
            if model is None or scope not in model.model_fields:
                raise InvalidTask(
                    f'task {self.id}: per={scope!r} must be "tenant", "task" or a field of its event'
                    + (f" {model.__name__}: {', '.join(model.model_fields)}" if model else "")
                )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.handler(*args, **kwargs)

    def _bound(self) -> TaskSender:
        if self.sender is None:
            raise NotConfigured(f"task {self.id} belongs to no application yet: jobs.include(group) before it is sent")
        return self.sender

    async def send(self, payload: InputT, **options: Any) -> Sent:
        """Run this task alone with ``payload``; options as in ``jobs.send``. An event's other tasks don't run.

        A payload without ``tenant_id`` runs for the current tenant. Raises ``TenantRequired``, ``InvalidEvent``.
        """
        return await self._bound().send_task(self, payload, options)

    async def trigger_and_wait(self, payload: InputT, timeout: Duration | None = None) -> Any:
        """Send, wait until the run is finished (at most ``timeout`` seconds) and return its result.

        Raises ``RunFailed``, ``RunCancelled``, ``RunExpired`` or ``WaitTimeout`` (the run then goes on).
        """
        return await self._bound().call_task(self, payload, timeout)


def _takes_two(task_id: str, handler: Handler) -> bool:
    parameters = [
        parameter
        for parameter in inspect.signature(handler).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    required = [parameter for parameter in parameters if parameter.default is parameter.empty]
    if not parameters or len(required) > 2:
        raise InvalidTask(f"task {task_id}: the handler takes (event) or (event, ctx), not {len(parameters)} arguments")
    return len(parameters) >= 2


def handler_place(handler: Handler) -> str:
    """``file:line`` of a handler, for messages."""
    code: CodeType | None = getattr(inspect.unwrap(handler), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(handler)


def as_tuple(value: PolicyT | Sequence[PolicyT] | None) -> tuple[PolicyT, ...]:
    """A limit option that is one value, several or none, as a tuple."""
    if value is None:
        return ()
    if isinstance(value, Limit | Rate):
        return (value,)
    return tuple(value)
