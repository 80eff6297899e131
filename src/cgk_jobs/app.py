"""The application object: the one place that joins the parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Generator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar, overload

from pydantic import BaseModel

from cgk_jobs.api.mounting import guarded_parts
from cgk_jobs.approvals import Approval, Approvals
from cgk_jobs.client import Client
from cgk_jobs.clock import Clock, SystemClock
from cgk_jobs.controls import Queues, Schedules
from cgk_jobs.engine.journal import StoreJournal
from cgk_jobs.engine.subscribing import subscription_of
from cgk_jobs.errors import InvalidEvent, InvalidTask, NotConfigured, Unsupported
from cgk_jobs.events import Event, EventRegistry
from cgk_jobs.events.codec import DEFAULT_MAX_BYTES
from cgk_jobs.events.sent import Duration, Send, Sent
from cgk_jobs.portal import LoopThread
from cgk_jobs.process_signals import until_told_to_stop
from cgk_jobs.providers.bound import BoundProvider, Running, WorkOrder
from cgk_jobs.providers.foreign import ForeignSource, ForeignSources
from cgk_jobs.providers.moving import Move
from cgk_jobs.providers.outbox import Outbox
from cgk_jobs.providers.registry import create_provider
from cgk_jobs.runs import Runs
from cgk_jobs.runtime.approving import Links
from cgk_jobs.runtime.context import MAX_DEPTH, Services
from cgk_jobs.runtime.processes import place_of
from cgk_jobs.settings import Settings, load_outside, load_settings
from cgk_jobs.signals import Signals
from cgk_jobs.sync import SyncJobs
from cgk_jobs.tasks.group import TaskGroup
from cgk_jobs.tasks.task import Task
from cgk_jobs.tenants import Tenants, TenantSource
from cgk_jobs.web.access_gate import Authorize
from cgk_jobs.web.access_tokens import Tokens
from cgk_jobs.web.router import Router
from cgk_jobs.web.site import Site

__all__ = ["Jobs"]

S = TypeVar("S", bound=TenantSource)

DEFAULT_CONCURRENCY = 100
DEFAULT_LEASE = 15.0
DEFAULT_GRACE = 30.0
DEFAULT_RETENTION = 14 * 86_400.0


class Jobs(TaskGroup):
    """An application's jobs: its tasks and schedules, sending, reading and running.

    ``provider``: a provider object, its name, or a database URL; ``database``: the ledger's path or URL. Neither given, the
    settings decide (environment, ``.env``, ``[tool.cgk-jobs]``), and with none of those the embedded engine in
    ``.cgk/jobs.db``. ``app`` names the application: several in one folder have a ledger each. ``clock`` is for tests and
    replays. ``max_payload_bytes``: the largest JSON form of an event or result. ``retention``: seconds a finished run is
    kept. ``max_call_depth``: how many runs deep ``ctx.call`` may go. Nothing is opened before it is needed.
    """

    def __init__(
        self,
        provider: BoundProvider | str | None = None,
        database: str | Path | None = None,
        app: str = "default",
        *,
        clock: Clock | None = None,
        max_payload_bytes: int = DEFAULT_MAX_BYTES,
        retention: float = DEFAULT_RETENTION,
        max_call_depth: int = MAX_DEPTH,
    ) -> None:
        super().__init__()
        self.app = app
        self.signals = Signals()
        self.events = EventRegistry()
        self.clock: Clock = clock or SystemClock()
        self.settings: Settings | None = None
        if provider is None or isinstance(provider, str):
            self.settings = load_settings(provider=provider, database=database, app=app)
            provider = create_provider(self.settings, self.clock)
        elif database is not None:
            raise NotConfigured("Jobs(provider=an object) brings its own ledger: leave database= out")
        if retention <= 0:
            raise NotConfigured("Jobs(retention=…) is seconds, more than 0")
        self.provider: BoundProvider = provider
        self._retention = retention
        self._client = Client(
            provider.store, self.events, self.signals, self.clock, max_bytes=max_payload_bytes, provider=provider.name,
            transactional=provider.capabilities.transactional_send,
        )  # fmt: skip
        outside = self.settings or load_outside()
        links = Links(outside.signing_keys, outside.public_url, self.clock)
        self._approvals = Approvals(links, provider.store.reads, self._client.event_class, self._send)
        self._services = Services(
            journal=StoreJournal(provider.store),
            send=self._send,
            clock=self.clock,
            max_result_bytes=max_payload_bytes,
            find_event=self._client.event_class,
            links=links,
            max_depth=max_call_depth,
        )
        self.runs = Runs(provider.store, self._cancel_here)
        self.tenants = Tenants(provider.store, self.clock, self.signals)
        self.schedules = Schedules(provider.store, self.tasks, self.tenants, self.clock, self.declare)
        self.queues = Queues(provider.store)
        self._foreign = ForeignSources(self._send)
        self._outbox = Outbox(provider, self.tasks, self.clock)
        self.tokens = Tokens(outside.signing_keys, app, self.clock, provider.store)
        self._outside = outside
        self._running: Running | None = None
        self._starting = asyncio.Lock()
        self._runner_loop: LoopThread | None = None
        self._subscribed = -1
        self._portal = LoopThread()

    # -- declaring ---------------------------------------------------------------------------------------------------

    def _add(self, task: Task[Any]) -> None:
        super()._add(task)
        task.sender = self
        if task.on is not None:
            self.events.add(task.on)

    def include(self, *groups: TaskGroup) -> None:
        """Make the tasks of other groups this application's. Raises ``InvalidTask`` if an id is taken."""
        for group in groups:
            for task in group:
                if task.sender is not None and task.sender is not self:
                    raise InvalidTask(f"task {task.id} belongs to another application already: make its group anew")
                self._add(task)

    def tenant_source(self, source: S) -> S:
        """Declare the application's own list of tenants: a function, plain or async, of ids or (id, time zone) pairs."""
        if self.tenants.source is not None:
            raise InvalidTask("there is a @jobs.tenant_source already: one function lists all tenants")
        self.tenants.source = source
        return source

    def accept(self, provider: str, place: str, *, events: Iterable[str], tenants: Iterable[str] | None = None) -> None:
        """Take events from elsewhere: jobs of a BullMQ queue, events of another Inngest application.

        ``place``: the queue, or the vendor's event name. ``events``: the names it may bring; ``tenants``: those it may speak
        for, default all. Each is checked as any send, once for each of the vendor's ids. Raises ``InvalidTask``.
        """
        allowed = None if tenants is None else frozenset(tenants)
        self._foreign.add(ForeignSource(provider, place, frozenset(events), allowed))

    async def declare(self) -> None:
        """Make this application's tasks known to the ledger, so that events sent by any process reach them.

        Done by itself before the first send and when workers start.
        """
        if self._subscribed == self.tasks.version:
            return
        version = self.tasks.version
        await self.provider.store.subscribe([subscription_of(task) for task in self.tasks])
        self._subscribed = version

    # -- sending -----------------------------------------------------------------------------------------------------

    @overload
    async def send(self, event: Event, /, **options: Any) -> Sent: ...

    @overload
    async def send(self, event: str, payload: dict[str, Any], /, **options: Any) -> Sent: ...

    @overload
    async def send(self, event: Event, second: Event, /, *events: Event, **options: Any) -> list[Sent]: ...

    async def send(self, event: Any, /, *events: Any, **options: Any) -> Sent | list[Sent]:
        """Send an event, several, or one by its name and a dict: durable once it returns.

        Options: ``delay`` (seconds or ``timedelta``) or ``at`` (aware datetime), ``key`` (idempotency, per tenant and event)
        with ``key_ttl``, ``priority`` (0 to 100), ``expires``, ``tags``, and ``connection``: a connection of yours to the
        ledger's database, in whose open transaction the event is stored, so that both are committed or neither
        (docs/transactional-send.md). Raises ``InvalidEvent``, ``UnknownEvent``, ``PayloadTooLarge``, ``TenantRequired``,
        ``TenantMismatch``, ``DuplicateKey``, ``Unsupported`` (``connection=`` to another database, or where the ledger is
        in SQLite), ``NotConfigured`` and ``ProviderUnavailable``; nothing is stored then.
        """
        answer: Sent | list[Sent] = await self._send(event, *events, **options)
        return answer

    async def _send(self, event: Any, *events: Any, **options: Any) -> Any:
        if self._subscribed != self.tasks.version:
            await self.declare()
        answer = await self._client.send(event, *events, **options)
        if self._outbox.needed:
            await self._hand_out()
        return answer

    async def _hand_out(self) -> None:
        if self._outbox.needed:
            await self._outbox.hand_out(self._running)

    async def send_many(self, items: Iterable[Event | Send], connection: Any = None) -> list[Sent]:
        """Send a batch in one transaction, or in that of ``connection``.

        Answers in the order given: accepted, duplicate, or refused and why.
        """
        await self.declare()
        sent = await self._client.send_many(items, connection)
        await self._hand_out()
        return sent

    async def send_task(self, task: Task[Any], payload: BaseModel, options: dict[str, Any]) -> Sent:
        """What ``task.send`` does."""
        await self.declare()
        sent = await self._client.send_task(task, payload, options)
        await self._hand_out()
        return sent

    async def call_task(self, task: Task[Any], payload: BaseModel, timeout: Duration | None) -> Any:
        """What ``task.trigger_and_wait`` does."""
        sent = await self.send_task(task, payload, {})
        return await self.runs.wait_for_sent(sent, timeout)

    async def trigger_and_wait(self, event: Event, timeout: Duration | None = None) -> Any:
        """Send an event to which exactly one task listens and return its result.

        Raises as ``send`` and ``runs.wait`` do; ``InvalidEvent`` for no listener or several. Not for handlers: a handler
        that waits holds its slot.
        """
        await self.declare()
        listeners = [
            row.task for row in await self.provider.store.reads.subscriptions() if row.event == event.event_name
        ]
        if len(listeners) != 1:
            raise InvalidEvent(
                f"{event.event_name} has {len(listeners)} listeners ({', '.join(listeners) or 'none'}): "
                "wait for one task with task.trigger_and_wait(payload)"
            )
        sent = await self.send(event)
        return await self.runs.wait_for_sent(sent, timeout)

    async def approval(self, token: str) -> Approval:
        """What an approval link asks for, to be shown before its holder answers; sends nothing."""
        return await self._approvals.read(token)

    async def approve(self, token: str, /, **fields: Any) -> Sent:
        """Answer a run by its approval link (``ctx.approval_link``): sends the link's event, for the link's tenant, once.

        ``fields``: those the link does not settle. Call it for a form that was sent or a button, never for a mere visit of
        the link: mail programs visit links too. A second time is a ``duplicate``. Raises ``InvalidToken`` for a forged,
        damaged or expired link, ``RunNotFound``, ``InvalidEvent``, ``UnknownEvent``, ``TenantMismatch``, ``DuplicateKey``
        where it was answered otherwise before, ``RunFailed``, ``RunCancelled`` or ``RunExpired`` where the run that asked
        ended so; nothing is sent then.
        """
        return await self._approvals.approve(token, fields)

    def mover(self) -> Move:
        """What a move to another provider works on; ``cgk jobs migrate`` runs it (``providers/moving.py``)."""
        return self._outbox.mover()

    # -- running -----------------------------------------------------------------------------------------------------

    def start(
        self,
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        queues: Sequence[str] | None = None,
        lease: float = DEFAULT_LEASE,
        scheduler: bool = True,
        thread: bool = False,
    ) -> Awaitable[None]:
        """Run workers in this process: ``await jobs.start()``, or, with no event loop of your own, ``start(thread=True)``.

        ``concurrency``: attempts at the same time. ``queues``: only these, in this order; default all of this
        application's. ``lease``: seconds a stopped process is waited for before others take its runs. ``scheduler``:
        whether this process fires schedules too; however many do, each tick fires once. Raises ``NotConfigured`` for a
        schedule without tenants, ``InvalidTask`` for a process handler that can't be imported.
        """
        if concurrency < 1 or lease <= 0:
            raise NotConfigured("start: concurrency is at least 1, lease more than 0 seconds")
        if self._running is not None:
            raise NotConfigured("workers run already in this process: stop() them first")
        work = self._begin(concurrency, queues, lease, scheduler)
        if not thread:
            return work
        self._runner_loop = LoopThread()
        self._runner_loop.call(work)
        return _Done()

    async def _begin(self, concurrency: int, queues: Sequence[str] | None, lease: float, scheduler: bool) -> None:
        await self._start(concurrency, queues, lease, scheduler)

    async def _start(
        self, concurrency: int, queues: Sequence[str] | None, lease: float, scheduler: bool, on_call: bool = False
    ) -> Running:
        for task in self.tasks:
            if task.isolation == "process":
                place_of(task)
        await self.declare()
        if scheduler:
            await self._check_tenants()
        order = WorkOrder(
            self.tasks, self._services, self.tenants.active, self.signals, self.clock, concurrency, queues, lease,
            scheduler, self._retention, self._foreign, on_call,
        )  # fmt: skip
        running = self._running = await self.provider.start(order)
        await self._outbox.rest()
        return running

    async def _check_tenants(self) -> None:
        waiting = [task.id for task in self.tasks if task.schedule is not None and task.schedule.tenants == "each"]
        if waiting and not await self.tenants.active(False):
            raise NotConfigured(
                f'schedules run for tenants="each" ({", ".join(waiting[:3])}{", …" if len(waiting) > 3 else ""}), and there '
                'is no tenant: add one (cgk jobs tenants add NAME), declare @jobs.tenant_source, or say tenants="seen"'
            )

    def stop(self, grace: float = DEFAULT_GRACE) -> Awaitable[None]:
        """Stop gracefully: nothing new is begun, running attempts get ``grace`` seconds, the rest is put back unspent."""
        work = self._stop(grace)
        if self._runner_loop is None:
            return work
        runner, self._runner_loop = self._runner_loop, None
        runner.call(work)
        runner.close()
        return _Done()

    async def _stop(self, grace: float) -> None:
        async with self._starting:  # what a call is just starting is stopped too
            running, self._running = self._running, None
            if running is not None:
                await running.stop(grace)
        await self._outbox.rest()

    @asynccontextmanager
    async def lifespan(self, app: Any = None) -> AsyncGenerator[None, None]:
        """Workers for as long as an ASGI application lives: ``FastAPI(lifespan=jobs.lifespan)``."""
        await self.start()
        try:
            yield
        finally:
            await self.stop()

    def run(self, **options: Any) -> None:
        """Work in this process until SIGTERM or SIGINT, then drain; a second signal ends at once. Options as ``start``."""
        asyncio.run(until_told_to_stop(lambda: self.start(**options), self.stop))

    @property
    def running(self) -> Running | None:
        """The work of this process, or ``None``."""
        return self._running

    def _cancel_here(self, seqs: Sequence[int]) -> None:
        running = self._running
        if running is not None:
            for seq in seqs:
                running.cancel(seq)

    def close(self) -> None:
        """Let go of files and connections. What is used again opens again."""
        # Connections of the loop in the thread are ended on it, so it goes last.
        self._outbox.close()
        self.provider.close()
        self._portal.close()

    # -- other faces -------------------------------------------------------------------------------------------------

    @property
    def sync(self) -> SyncJobs:
        """The same methods, blocking, for programs without an event loop."""
        return SyncJobs(self, self._portal)

    def asgi(self, *, authorize: Authorize | None = None, origins: Iterable[str] = ()) -> Router:
        """An ASGI application to be mounted in the web application: the JSON API, what providers call, and ``/health``.

        ``authorize``: your own login, plain or async: a request's ASGI scope to its ``Access``, or ``None`` (docs/api.md).
        ``origins``: of pages that may follow a run with a token of that run.
        In a process that was not started it works when it is called, and only then: for hosts that run no worker.
        """
        found = self._outside
        parts = guarded_parts(self, self.tokens, found.dashboard_token, found.signing_keys, authorize, origins)
        return Site(self.provider.store, self, self._on_call, lambda: self._running, parts).app()

    async def _on_call(self) -> Running:
        async with self._starting:
            return self._running or await self._start(
                DEFAULT_CONCURRENCY, None, DEFAULT_LEASE, scheduler=False, on_call=True
            )

    def webhook(self, *_: Any, **__: Any) -> NoReturn:
        """Not in this version."""
        raise Unsupported("jobs.webhook()", "this version", "Verify the call in a route of yours and send an event.")


class _Done:
    """Already done: what ``start`` and ``stop`` answer where they have waited themselves."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield
