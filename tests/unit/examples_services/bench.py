"""A tenant with its databases in memory, vendors that fail when told to, and a stand-in for the engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from inspect import isawaitable
from typing import Any

from cgk_jobs import Event, Tick
from cgk_jobs.clock import ManualClock
from cgk_jobs.examples.commerce import build
from cgk_jobs.examples.commerce.days import DAY
from cgk_jobs.examples.commerce.vendors import Answer, Done, VendorDoubles, VendorUnavailable
from cgk_jobs.tasks.task import Task
from cgk_jobs.tenancy import PLATFORM
from cgk_jobs.tenancy.context import enter_scope, leave_scope, tenant_scope

TENANT = "acme"
SERVICES = {
    "creators",
    "creator-communications",
    "ai-agents",
    "alerts",
    "dam",
    "ad-platforms",
    "esign",
    "surveys",
    "webhooks",
    "workflows",
    "brand-context",
    "platform",
    "video",
    "google-feed",
    "seo",
    "voice",
    "integrations",
    "monitoring",
    "compliance",
}
"""The categories that are tested here."""
START = datetime(2026, 3, 4, 12, tzinfo=UTC)
"""A Wednesday noon."""


class Asleep(BaseException):
    """The handler suspended itself."""


class RecordingContext:
    """Answers a handler as the engine does, and remembers: what was sent, which steps are finished."""

    def __init__(self, tenant_id: str = TENANT, run_id: str = "run-1") -> None:
        self.tenant_id = tenant_id
        self.run_id = run_id
        self.sent: list[Event] = []
        self.keys: set[tuple[str, str]] = set()
        self.slept: list[float] = []
        self.cancelled = False
        self._finished: dict[str, Any] = {}
        self._uses: dict[str, int] = {}

    def next_attempt(self) -> None:
        self._uses.clear()

    def _place(self, name: str) -> str:
        self._uses[name] = self._uses.get(name, 0) + 1
        return f"{name}#{self._uses[name]}"

    async def step(self, name: str, function: Callable[..., Any], *args: Any, undo: Any = None, **kwargs: Any) -> Any:
        del undo  # the engine's affair: test_with_the_engine.py
        place = self._place(name)
        if place not in self._finished:
            result = function(*args, **kwargs)
            self._finished[place] = await result if isawaitable(result) else result
        return self._finished[place]

    async def sleep(self, duration: float) -> None:
        place = self._place("sleep")
        if place not in self._finished:
            self._finished[place] = duration
            self.slept.append(duration)
            raise Asleep

    async def wait_for(self, kind: type[Event], match: Any, timeout: timedelta) -> Event:
        raise Asleep

    async def call(self, task: Task[Any], payload: Any) -> Any:
        """The task at once, as a run of its own."""
        assert payload.tenant_id == self.tenant_id
        result = (
            task(payload, type(self)(self.tenant_id, f"{self.run_id}/child")) if task.wants_context else task(payload)
        )
        return await result

    async def map(self, task: Task[Any], payloads: Iterable[Any], *, concurrency: int) -> list[Any]:
        return [await self.call(task, payload) for payload in payloads]

    async def gather(self, *calls: Awaitable[Any], concurrency: int | None = None) -> list[Any]:
        return [await call for call in calls]

    def check_cancelled(self) -> None:
        if self.cancelled:
            raise Asleep

    async def send(self, event: Event, *, key: str) -> None:
        assert event.tenant_id == self.tenant_id
        if (event.event_name, key) not in self.keys:
            self.keys.add((event.event_name, key))
            self.sent.append(event)

    def idempotency_key(self, step: str) -> str:
        return f"{self.run_id}:{step}"


class Vendors(VendorDoubles):
    """The doubles, each of which can be ``down``: it then fails before the work, or, if ``loses_answers``, after it."""

    def __init__(self) -> None:
        super().__init__(None)
        self.down: set[str] = set()
        self.loses_answers = False
        self.fails_at: set[str] = set()
        """Targets that fail: recipients, endpoints."""
        self.calls_seen: list[str] = []

    def reset(self) -> None:
        """As new: nothing was done, nothing fails."""
        self._db.execute("DELETE FROM done")
        self.down, self.fails_at, self.loses_answers = set(), set(), False
        self.calls_seen.clear()

    async def _act(self, wish: Done) -> Answer:
        self.calls_seen.append(wish.key)
        if wish.vendor in self.down or wish.target in self.fails_at:
            if self.loses_answers:
                await super()._act(wish)
            raise VendorUnavailable(f"{wish.vendor} is down")
        return await super()._act(wish)


class Bench:
    """The application, its tasks by id, and one tenant that is current."""

    def __init__(self, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock(START)
        self.vendors = Vendors()
        self.app, groups = build(None, clock=self.clock, vendors=self.vendors)
        self.tasks: dict[str, Task[Any]] = {task.id: task for group in groups for task in group}
        self.ctx = RecordingContext()

    @property
    def now(self) -> int:
        return self.clock.micros()

    def ago(self, days: float) -> int:
        return self.now - round(days * DAY)

    def event(self, kind: Callable[..., Event], **fields: Any) -> Event:
        return kind(tenant_id=TENANT, **fields)

    def payload(self, task_id: str, **fields: Any) -> Any:
        """What an on-demand task or a task with an event takes."""
        task = self.tasks[task_id]
        model = task.on or task.payload
        assert model is not None
        return model(tenant_id=TENANT, **fields)

    def tick(self, task_id: str, previous: timedelta | None = timedelta(days=1)) -> Tick:
        now = self.clock.now()
        return Tick(TENANT, task_id, now, now, "UTC", previous_at=None if previous is None else now - previous)

    async def run(self, task_id: str, ctx: RecordingContext | None = None, /, **fields: Any) -> Any:
        """One attempt of a task: with a tick if it has a schedule, else with a payload of ``fields``."""
        task = self.tasks[task_id]
        given = self.tick(task_id) if task.schedule else self.payload(task_id, **fields)
        if task.flow.batch is not None:
            given = [given]
        return await self.attempt(task, given, ctx)

    async def attempt(self, task: Task[Any], given: Any, ctx: RecordingContext | None = None) -> Any:
        context = ctx or self.ctx
        context.next_attempt()
        result: Awaitable[Any] = task(given, context) if task.wants_context else task(given)
        return await result

    def execute(self, statement: str, *values: Any) -> None:
        with self.app.shops.current() as db:
            db.execute(statement, values)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.app.shops.current() as db:
            return db.execute(query, values).fetchall()

    def value(self, query: str, *values: Any) -> Any:
        return self.rows(query, *values)[0][0]

    def changes(self) -> int:
        """How many rows were written since the database was opened."""
        with self.app.shops.current() as db:
            return db.total_changes

    def creator(self, creator_id: str, state: str = "approved", **progress: Any) -> str:
        """A creator with the moments of ``creator_progress`` given."""
        self.execute(
            "INSERT INTO creators (creator_id, name, email, state, set_up) VALUES (?, ?, ?, ?, ?)",
            creator_id,
            creator_id,
            f"{creator_id}@example.com",
            state,
            progress.pop("set_up", 0),
        )
        self.execute("INSERT INTO creator_progress (creator_id) VALUES (?)", creator_id)
        for column, moment in progress.items():
            self.execute(f"UPDATE creator_progress SET {column} = ? WHERE creator_id = ?", moment, creator_id)
        return creator_id

    def reset(self) -> None:
        """As new: empty databases, at the beginning of time. Declaring all tasks anew would take most of a test."""
        self.app.shops.close()
        self.vendors.reset()
        self.clock.set(START)
        self.ctx = RecordingContext()

    def close(self) -> None:
        self.app.shops.close()
        self.vendors.close()


@contextmanager
def as_platform() -> Generator[None, None, None]:
    """The scope in which the engine runs the installation's own tasks."""
    token = enter_scope(tenant_scope(PLATFORM))
    try:
        yield
    finally:
        leave_scope(token)
