"""The decorators ``task`` and ``cron``, and groups of tasks that an application includes."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, Concatenate, TypeVar, overload

from pydantic import BaseModel

from cgk_jobs.errors import InvalidTask
from cgk_jobs.events.event import Event
from cgk_jobs.tasks.flow import Batch, Debounce, Flow, Latest, Throttle, Unique, ordered_fields
from cgk_jobs.tasks.policy import Limit, Priority, Rate, Retry
from cgk_jobs.tasks.registry import TaskRegistry
from cgk_jobs.tasks.schedule import Cron, Misfire, Tick
from cgk_jobs.tasks.task import (
    DEFAULT_QUEUE,
    DEFAULT_TIMEOUT,
    Isolation,
    Middleware,
    ScheduleSpec,
    Task,
    TenantsMode,
    as_tuple,
    seconds_of,
)

__all__ = ["TaskGroup"]

E = TypeVar("E", bound=Event)
P = TypeVar("P", bound=BaseModel)


class TaskGroup:
    """Tasks declared apart from the application object, as a router declares routes.

    ``jobs.include(group)`` makes them the application's. ``Jobs`` itself has the same two decorators.
    """

    def __init__(self) -> None:
        self.tasks = TaskRegistry()

    def __iter__(self) -> Iterator[Task[Any]]:
        return iter(self.tasks)

    def _add(self, task: Task[Any]) -> None:
        self.tasks.add(task)

    @overload
    def task(
        self,
        *,
        on: type[E],
        id: str | None = None,
        retry: Retry | None = None,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        queue: str = DEFAULT_QUEUE,
        priority: int | Priority = 0,
        concurrency: Limit | Sequence[Limit] | None = None,
        rate: Rate | Sequence[Rate] | None = None,
        unique: Unique | None = None,
        debounce: Debounce | None = None,
        throttle: Throttle | None = None,
        ordered_by: str | tuple[str, ...] | None = None,
        latest: Latest | None = None,
        batch: None = None,
        expires: float | timedelta | None = None,
        tags: Iterable[str] = (),
        middleware: Sequence[Middleware] = (),
        isolation: Isolation = "thread",
        share_payload: bool = False,
    ) -> Callable[[Callable[Concatenate[E, ...], Any]], Task[E]]: ...

    @overload
    def task(
        self,
        *,
        on: type[E],
        id: str | None = None,
        retry: Retry | None = None,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        queue: str = DEFAULT_QUEUE,
        priority: int | Priority = 0,
        concurrency: Limit | Sequence[Limit] | None = None,
        rate: Rate | Sequence[Rate] | None = None,
        batch: Batch,
        throttle: Throttle | None = None,
        expires: float | timedelta | None = None,
        tags: Iterable[str] = (),
        middleware: Sequence[Middleware] = (),
        isolation: Isolation = "thread",
        share_payload: bool = False,
    ) -> Callable[[Callable[Concatenate[list[E], ...], Any]], Task[E]]: ...

    @overload
    def task(
        self,
        *,
        on: None = None,
        id: str | None = None,
        retry: Retry | None = None,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        queue: str = DEFAULT_QUEUE,
        priority: int | Priority = 0,
        concurrency: Limit | Sequence[Limit] | None = None,
        rate: Rate | Sequence[Rate] | None = None,
        unique: Unique | None = None,
        debounce: Debounce | None = None,
        throttle: Throttle | None = None,
        ordered_by: str | tuple[str, ...] | None = None,
        latest: Latest | None = None,
        batch: None = None,
        expires: float | timedelta | None = None,
        tags: Iterable[str] = (),
        middleware: Sequence[Middleware] = (),
        isolation: Isolation = "thread",
        share_payload: bool = False,
    ) -> Callable[[Callable[Concatenate[P, ...], Any]], Task[P]]: ...

    @overload
    def task(
        self,
        *,
        on: None = None,
        id: str | None = None,
        retry: Retry | None = None,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        queue: str = DEFAULT_QUEUE,
        priority: int | Priority = 0,
        concurrency: Limit | Sequence[Limit] | None = None,
        rate: Rate | Sequence[Rate] | None = None,
        batch: Batch,
        throttle: Throttle | None = None,
        expires: float | timedelta | None = None,
        tags: Iterable[str] = (),
        middleware: Sequence[Middleware] = (),
        isolation: Isolation = "thread",
        share_payload: bool = False,
    ) -> Callable[[Callable[Concatenate[list[P], ...], Any]], Task[P]]: ...

    def task(
        self,
        *,
        on: type[Any] | None = None,
        id: str | None = None,
        retry: Retry | None = None,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        queue: str = DEFAULT_QUEUE,
        priority: int | Priority = 0,
        concurrency: Limit | Sequence[Limit] | None = None,
        rate: Rate | Sequence[Rate] | None = None,
        unique: Unique | None = None,
        debounce: Debounce | None = None,
        throttle: Throttle | None = None,
        ordered_by: str | tuple[str, ...] | None = None,
        latest: Latest | None = None,
        batch: Batch | None = None,
        expires: float | timedelta | None = None,
        tags: Iterable[str] = (),
        middleware: Sequence[Middleware] = (),
        isolation: Isolation = "thread",
        share_payload: bool = False,
    ) -> Callable[[Callable[..., Any]], Task[Any]]:
        """Declare a task: a run for every event ``on``, or, without ``on``, for every ``task.send(payload)``.

        ``id`` defaults to the function's name with dashes; it is stored with every run, so renaming the function later
        is safe only with an ``id``. ``timeout`` and ``expires`` are seconds. Without ``on`` the payload's model is the
        annotation of the handler's first parameter. With ``batch`` the handler gets a list of events. ``ordered_by``: runs
        of one tenant and value of this field (or these) run one at a time, in the order sent. ``share_payload``: a hosted
        provider is shown the payload with the wake-up; without it, it sees ids alone. Raises ``InvalidTask``.
        """
        if on is not None:
            if not issubclass(on, Event):
                raise InvalidTask(f"on={on!r}: give the Event class itself")
            if not on.event_name:
                raise InvalidTask(f'on={on.__name__} has no event name: class {on.__name__}(Event, name="…")')

        flow = Flow(unique, debounce, throttle, batch, ordered_fields(ordered_by), latest)

        def declare(handler: Callable[..., Any]) -> Task[Any]:
            task: Task[Any] = Task(
                id=id or _default_id(handler),
                handler=handler,
                on=on,
                payload=None if on else _payload_model(handler, batch is not None),
                retry=retry or Retry(),
                timeout=_timeout(timeout),
                queue=queue,
                priority=_priority(priority),
                concurrency=as_tuple(concurrency),
                rates=as_tuple(rate),
                expires=seconds_of(expires, "expires"),
                tags=tuple(tags),
                middleware=tuple(middleware),
                isolation=isolation,
                flow=flow,
                share_payload=share_payload,
            )
            self._add(task)
            return task

        return declare

    def cron(
        self,
        expression: str,
        *,
        timezone: str = "UTC",
        tenants: TenantsMode,
        misfire: Misfire = "latest",
        spread: float | timedelta = 0.0,
        skip: Iterable[str] = (),
        id: str | None = None,
        retry: Retry | None = None,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        queue: str = DEFAULT_QUEUE,
        priority: int | Priority = 0,
        concurrency: Limit | Sequence[Limit] | None = None,
        rate: Rate | Sequence[Rate] | None = None,
        expires: float | timedelta | None = None,
        tags: Iterable[str] = (),
        middleware: Sequence[Middleware] = (),
        isolation: Isolation = "thread",
    ) -> Callable[[Callable[Concatenate[Tick, ...], Any]], Task[Any]]:
        """Declare a schedule: five cron fields, read in ``timezone`` (the tenant's own where it has one).

        ``tenants``: ``"each"`` active tenant, each tenant ``"seen"`` so far, or once for the ``"platform"``. ``spread``:
        seconds over which a tick's tenants are laid out, always the same offset for the same tenant. ``skip``: tenants
        left out. ``misfire``: which ticks missed while nothing ran are made up for: the ``latest``, ``all``, or none
        (``skip``). Raises ``InvalidSchedule``, ``InvalidTask``.
        """
        spec = ScheduleSpec(
            Cron(expression, timezone),
            tenants,
            misfire,
            spread.total_seconds() if isinstance(spread, timedelta) else float(spread),
            frozenset(skip),
        )

        def declare(handler: Callable[..., Any]) -> Task[Any]:
            task: Task[Any] = Task(
                id=id or _default_id(handler),
                handler=handler,
                schedule=spec,
                retry=retry or Retry(),
                timeout=_timeout(timeout),
                queue=queue,
                priority=_priority(priority),
                concurrency=as_tuple(concurrency),
                rates=as_tuple(rate),
                expires=seconds_of(expires, "expires"),
                tags=tuple(tags),
                middleware=tuple(middleware),
                isolation=isolation,
            )
            self._add(task)
            return task

        return declare


def _default_id(handler: Callable[..., Any]) -> str:
    return handler.__name__.strip("_").replace("_", "-")


def _timeout(value: float | timedelta) -> float:
    seconds = seconds_of(value, "timeout")
    if seconds is None:
        raise InvalidTask("timeout=None: every attempt has a time limit; state a large one in seconds")
    return seconds


def _priority(value: int | Priority) -> Priority:
    return value if isinstance(value, Priority) else Priority(value)


def _payload_model(handler: Callable[..., Any], batched: bool) -> type[BaseModel]:
    first = next(iter(inspect.signature(handler).parameters), None)
    try:
        hint = typing.get_type_hints(handler).get(first or "")
    except NameError:
        # A model defined inside a function: only its local name is known, as text. The annotation is then evaluated
        # where the handler was written.
        closure = inspect.getclosurevars(handler)
        names = {**closure.globals, **closure.nonlocals}
        written = str(handler.__annotations__.get(first or ""))
        if batched:
            written = written.removeprefix("list[").removesuffix("]")
        hint = names.get(written)
    if batched and typing.get_origin(hint) is list:
        (hint,) = typing.get_args(hint)
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return hint
    wanted = "list[Model], with the pydantic model it takes" if batched else "the pydantic model it takes"
    raise InvalidTask(f"task {handler.__name__}: give on=AnEvent, or annotate the first parameter with {wanted}")
