"""Sending: validate, check the tenant, hand over to the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel

from cgk_jobs import signals
from cgk_jobs.clock import Clock, to_micros
from cgk_jobs.engine.fitting import insert_what_fits
from cgk_jobs.engine.records import NewEvent, Stored
from cgk_jobs.engine.store import Store
from cgk_jobs.errors import (
    DuplicateKey,
    InvalidEvent,
    InvalidTask,
    JobsError,
    PayloadTooLarge,
    QuotaExceeded,
    TenantClosed,
    Unsupported,
)
from cgk_jobs.events import EventRegistry
from cgk_jobs.events.codec import encode_payload, from_mapping
from cgk_jobs.events.event import Event
from cgk_jobs.events.lookup import find_event
from cgk_jobs.events.sent import PLAIN, Send, SendOptions, Sent, SentStatus, seconds
from cgk_jobs.signals import Signals
from cgk_jobs.tasks.task import Task
from cgk_jobs.tenancy.context import current_tenant, require_same_tenant
from cgk_jobs.tenancy.ids import parse_tenant_id
from cgk_jobs.wire.ids import to_id

__all__ = ["Client"]

Payload = Mapping[str, Any]


class Client:
    """Sends for one application."""

    def __init__(
        self,
        store: Store,
        events: EventRegistry,
        emitter: Signals,
        clock: Clock,
        *,
        max_bytes: int,
        provider: str,
        transactional: bool = False,
    ) -> None:
        self._store = store
        self._events = events
        self._emitter = emitter
        self._clock = clock
        self._max_bytes = max_bytes
        self._provider = provider
        self._transactional = transactional
        self._known: set[type[Event]] = set()

    # -- what is sent ------------------------------------------------------------------------------------------------

    def event_of(self, name: str, payload: Payload) -> Event:
        """The event of a name and a JSON-like mapping. Raises ``UnknownEvent``, ``InvalidEvent``."""
        return from_mapping(self.event_class(name), dict(payload))

    def event_class(self, name: str) -> type[Event]:
        """The event class of a name: this application's, or the catalogue's. Raises ``UnknownEvent``."""
        return find_event(self._events, name)

    def _new(self, event: Event, options: SendOptions, task: str | None = None) -> NewEvent:
        cls = type(event)
        if cls not in self._known:
            if task is None:
                if not cls.event_name:
                    raise InvalidEvent(
                        f'{cls.__qualname__} has no event name: class {cls.__qualname__}(Event, name="…"), '
                        "or send it to its task with task.send(payload)"
                    )
                self._events.add(cls)
            self._known.add(cls)
        require_same_tenant(event.tenant_id)
        name = cls.event_name
        new = NewEvent(event.tenant_id, name, cls.event_version, encode_payload(event, name, self._max_bytes), task)
        return new if options is PLAIN else self._with_options(new, options)

    def _with_options(self, new: NewEvent, options: SendOptions) -> NewEvent:
        now = self._clock.micros()
        due_at = None
        if options.at is not None:
            due_at = to_micros(options.at)
        elif options.delay is not None:
            due_at = now + round(seconds(options.delay) * 1e6)
        return new._replace(
            due_at=due_at,
            key=options.key,
            key_until=0 if options.key is None else now + round(seconds(options.key_ttl) * 1e6),
            priority=options.priority,
            expires=None if options.expires is None else seconds(options.expires),
            tags=",".join(options.tags),
        )

    # -- sending -----------------------------------------------------------------------------------------------------

    async def send(self, event: Event | str, *events: Any, **options: Any) -> Sent | list[Sent]:
        """As ``Jobs.send``, which has the types."""
        connection = options.pop("connection", None) if options else None
        if connection is not None:
            self._require_transactional()
        chosen = PLAIN if not options else _options(options)
        if isinstance(event, str):
            if len(events) != 1 or not isinstance(events[0], Mapping):
                raise InvalidEvent(f'send({event!r}, payload): give the payload as one dict with "tenant_id"')
            event, events = self.event_of(event, cast("Payload", events[0])), ()
        if chosen.delay is not None:
            await self._store.agree_on_time()
        if not events:
            new = self._new(event, chosen)
            (stored,) = await self._insert([new], connection)
            if self._emitter.active:
                self._tell(new, stored, committed=connection is None)
            return self._sent(stored)
        if chosen.key is not None:
            raise InvalidEvent("one key= for several events: use send_many([Send(event, key=…), …])")
        news = [self._new(one, chosen) for one in (event, *events)]
        answers = await self._insert(news, connection)
        if self._emitter.active:
            for new, stored in zip(news, answers, strict=True):
                self._tell(new, stored, committed=connection is None)
        return [self._sent(stored) for stored in answers]

    def _require_transactional(self) -> None:
        if not self._transactional:
            raise Unsupported(
                "send(connection=…)",
                self._provider,
                "Its ledger is a file of its own, which can't join your transaction: send after the commit, with key=.",
            )

    async def _insert(self, news: list[NewEvent], connection: Any) -> list[Stored]:
        if connection is None:
            return await self._store.insert(news)
        stored: list[Stored] = []
        for answer in await self._store.insert_in(connection, news):
            if isinstance(answer, DuplicateKey):
                raise answer
            stored.append(answer)
        return stored

    async def send_many(self, items: Iterable[Event | Send], connection: Any = None) -> list[Sent]:
        """As ``Jobs.send_many``."""
        if connection is not None:
            self._require_transactional()
        answers: list[Sent | None] = []
        news: list[NewEvent] = []
        await self._store.agree_on_time()
        for item in items:
            try:
                if isinstance(item, Send):
                    news.append(self._new(item.event, item.options()))
                else:
                    news.append(self._new(item, PLAIN))
                answers.append(None)
            except (InvalidEvent, PayloadTooLarge) as error:
                answers.append(Sent(0, 0, (), "refused", str(error)))
        stored = await self._insert_batch(news, connection)
        if len(stored) == len(answers):
            return stored
        rest = iter(stored)
        return [next(rest) if answer is None else answer for answer in answers]

    async def _insert_batch(self, news: list[NewEvent], connection: Any) -> list[Sent]:
        if not news:
            return []
        if connection is not None:
            joined = zip(news, await self._store.insert_in(connection, news), strict=True)
            return [self._judged(new, answer, committed=False) for new, answer in joined]
        try:
            stored = await self._store.insert(news)
        except (QuotaExceeded, TenantClosed):
            fitting = zip(news, await insert_what_fits(self._store, news), strict=True)
            return [self._judged(new, answer, committed=True) for new, answer in fitting]
        except JobsError:
            if len(news) == 1 or not any(new.key or new.due_at is not None for new in news):
                raise
            # A key clashes, or a task can't have a delay. Nothing was stored: find out which, one by one, so that the
            # others are sent.
            return [await self._insert_or_refuse(new) for new in news]
        if self._emitter.active:
            for new, one in zip(news, stored, strict=True):
                self._tell(new, one)
        return [self._sent(one) for one in stored]

    def _judged(self, new: NewEvent, answer: Stored | JobsError, *, committed: bool) -> Sent:
        if isinstance(answer, JobsError):
            return Sent(0, 0, (), "refused", str(answer))
        if self._emitter.active:
            self._tell(new, answer, committed=committed)
        return self._sent(answer)

    async def _insert_or_refuse(self, new: NewEvent) -> Sent:
        try:
            (stored,) = await self._store.insert([new])
        except JobsError as error:
            if isinstance(error, InvalidEvent) and new.due_at is None:
                raise
            return Sent(0, 0, (), "refused", str(error))
        return self._sent(stored)

    async def send_task(self, task: Task[Any], payload: BaseModel, options: dict[str, Any]) -> Sent:
        """Run one task alone with ``payload``."""
        connection = options.pop("connection", None)
        if connection is not None:
            self._require_transactional()
        chosen = PLAIN if not options else _options(options)
        if chosen.delay is not None:
            await self._store.agree_on_time()
        expected = task.on or task.payload
        if expected is None:
            raise InvalidTask(f"task {task.id} runs on a schedule: use jobs.schedules.trigger({task.id!r})")
        if not isinstance(payload, expected):
            raise InvalidEvent(f"task {task.id} takes {expected.__name__}, not {type(payload).__name__}")
        if isinstance(payload, Event):
            new = self._new(payload, chosen, task.id)
        else:
            tenant_id = parse_tenant_id(getattr(payload, "tenant_id", None) or current_tenant())
            require_same_tenant(tenant_id)
            text = encode_payload(payload, f"task {task.id}", self._max_bytes)
            new = NewEvent(tenant_id, "", 1, text, task.id)
            if chosen is not PLAIN:
                new = self._with_options(new, chosen)
        (stored,) = await self._insert([new], connection)
        if self._emitter.active:
            self._tell(new, stored, committed=connection is None)
        return self._sent(stored)

    @staticmethod
    def _sent(stored: Stored) -> Sent:
        if stored.refused is not None:
            return Sent(0, 0, (), "refused", stored.refused)
        status: SentStatus = "duplicate" if stored.duplicate else "accepted"
        return Sent(stored.event_seq, stored.nonce, stored.run_seqs, status, None, stored.nonces)

    def _tell(self, new: NewEvent, stored: Stored, *, committed: bool = True) -> None:
        """``committed`` is false for a send in the application's transaction, which may yet be rolled back."""
        self._emitter.emit(
            signals.EVENT_SENT,
            new.tenant_id,
            event=new.name,
            event_id="" if stored.refused else to_id(stored.event_seq, stored.nonce),
            runs=len(stored.run_seqs),
            duplicate=stored.duplicate,
            committed=committed,
            refused=stored.refused is not None,
        )


_OPTIONS = frozenset(SendOptions.__dataclass_fields__)


def _options(options: Mapping[str, Any]) -> SendOptions:
    unknown = options.keys() - _OPTIONS
    if unknown:
        raise InvalidEvent(f"send has no option {', '.join(sorted(unknown))}; it has {', '.join(sorted(_OPTIONS))}")
    values = dict(options)
    if "tags" in values:
        tags: str | Sequence[str] = values["tags"]
        if isinstance(tags, str):
            raise InvalidEvent(f'tags={tags!r}: give a list, ["{tags}"]')
        values["tags"] = tuple(tags)
    return SendOptions(**values)
