"""``jobs.sync``: the application's methods, blocking. One thin face over the async ones, nothing done twice."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from cgk_jobs.events.event import Event
from cgk_jobs.events.sent import Duration, Send, Sent
from cgk_jobs.portal import LoopThread

if TYPE_CHECKING:
    from typing import Protocol

    from cgk_jobs.approvals import Approval
    from cgk_jobs.controls import Queues, Schedules
    from cgk_jobs.runs import Runs
    from cgk_jobs.tenants import Tenants

    class _AsyncJobs(Protocol):
        runs: Runs
        tenants: Tenants
        schedules: Schedules
        queues: Queues

        async def send(self, event: Any, /, *events: Any, **options: Any) -> Any: ...

        async def send_many(self, items: Iterable[Event | Send], connection: Any = None) -> list[Sent]: ...

        async def trigger_and_wait(self, event: Event, timeout: Duration | None = None) -> Any: ...

        async def approval(self, token: str) -> Approval: ...

        async def approve(self, token: str, /, **fields: Any) -> Sent: ...


__all__ = ["Blocking", "SyncJobs"]


class Blocking:
    """Any of the application's parts with its async methods made blocking: ``jobs.sync.runs.get(run_id)``."""

    def __init__(self, part: Any, portal: LoopThread) -> None:
        self._part = part
        self._portal = portal

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._part, name)
        if inspect.iscoroutinefunction(value):
            return self._blocking(value)
        return value

    def _blocking(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            return self._portal.call(method(*args, **kwargs))

        return call


class SyncJobs:
    """``send``, ``send_many``, ``trigger_and_wait``, ``approval``, ``approve``, ``runs``, ``tenants``, ``schedules``, ``queues``, blocking.

    Never to be called from a coroutine: it would block the event loop.
    """

    def __init__(self, jobs: _AsyncJobs, portal: LoopThread) -> None:
        self._jobs = jobs
        self._portal = portal

    def send(self, event: Event | str, /, *events: Any, **options: Any) -> Sent | list[Sent]:
        """As ``jobs.send``. The statements of ``connection=`` are run in the calling thread."""
        answer: Sent | list[Sent] = self._portal.call(self._jobs.send(event, *events, **options))
        return answer

    def send_many(self, items: Iterable[Event | Send], connection: Any = None) -> list[Sent]:
        """As ``jobs.send_many``."""
        return self._portal.call(self._jobs.send_many(items, connection))

    def trigger_and_wait(self, event: Event, timeout: Duration | None = None) -> Any:
        """As ``jobs.trigger_and_wait``."""
        return self._portal.call(self._jobs.trigger_and_wait(event, timeout))

    def approval(self, token: str) -> Approval:
        """As ``jobs.approval``."""
        return self._portal.call(self._jobs.approval(token))

    def approve(self, token: str, /, **fields: Any) -> Sent:
        """As ``jobs.approve``."""
        return self._portal.call(self._jobs.approve(token, **fields))

    @property
    def runs(self) -> Blocking:
        """As ``jobs.runs``."""
        return Blocking(self._jobs.runs, self._portal)

    @property
    def tenants(self) -> Blocking:
        """As ``jobs.tenants``."""
        return Blocking(self._jobs.tenants, self._portal)

    @property
    def schedules(self) -> Blocking:
        """As ``jobs.schedules``."""
        return Blocking(self._jobs.schedules, self._portal)

    @property
    def queues(self) -> Blocking:
        """As ``jobs.queues``."""
        return Blocking(self._jobs.queues, self._portal)
