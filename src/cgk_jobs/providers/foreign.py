"""Events made elsewhere: a job of a Node producer, an event of another Inngest application.

Such a source is not signed by the application, so it only claims to speak for a tenant: each source is declared with the events
and the tenants it may speak for. What it brings is checked like any send, and the vendor's id is the idempotency key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

from cgk_jobs.errors import InvalidEvent, InvalidTask, TenantMismatch, Unsupported
from cgk_jobs.events.sent import Sent
from cgk_jobs.providers.provider import JobProvider

__all__ = ["Brought", "ForeignSource", "ForeignSources", "Receive", "TakesForeignEvents"]


@dataclass(frozen=True, slots=True)
class ForeignSource:
    """Where events come from: ``place`` is the provider's word for it (a BullMQ queue, an Inngest event name).

    ``events``: the names it may bring. ``tenants``: those it may speak for; ``None``: all.
    """

    provider: str
    place: str
    events: frozenset[str]
    tenants: frozenset[str] | None = None


class Brought(NamedTuple):
    """One foreign event. ``vendor_id``: the vendor's own id of it, unique at this place."""

    source: ForeignSource
    name: str
    payload: Mapping[str, Any]
    vendor_id: str


Receive = Callable[[Brought], Awaitable[str]]
"""Store it; returns the id of the ledger's event. Raises ``InvalidEvent`` and its like for one that is not acceptable."""


@runtime_checkable
class TakesForeignEvents(Protocol):
    """A provider that can bring events from elsewhere."""

    def bring(self, sources: Mapping[str, ForeignSource], receive: Receive) -> None:
        """Pass what comes from these sources (by place) on to ``receive``. Called before ``work`` and ``routes``."""
        ...


KEY_TTL = 7 * 86_400.0
"""Seconds for which the same foreign event is known again."""


@dataclass
class ForeignSources:
    """The declared sources of one application. ``send`` is the application's own."""

    send: Callable[..., Awaitable[Sent]]
    _sources: dict[tuple[str, str], ForeignSource] = field(default_factory=dict[tuple[str, str], ForeignSource])

    def add(self, source: ForeignSource) -> None:
        """Declare one. Raises ``InvalidTask`` if its place has been declared, or if it may bring nothing."""
        if not source.events:
            raise InvalidTask(f"{source.provider} {source.place}: name the events that may come from there")
        if (source.provider, source.place) in self._sources:
            raise InvalidTask(f"{source.provider} {source.place} is declared already")
        self._sources[source.provider, source.place] = source

    def connect(self, provider: JobProvider) -> None:
        """Let a provider bring its sources' events. Raises ``Unsupported`` for one that can't."""
        mine = {place: source for (name, place), source in self._sources.items() if name == provider.name}
        if not mine:
            return
        if not isinstance(provider, TakesForeignEvents):
            raise Unsupported(
                "events from elsewhere", provider.name, "Receive them in a route of yours, and send them on."
            )
        provider.bring(mine, self.receive)

    async def receive(self, brought: Brought) -> str:
        """Store a foreign event, once. Raises ``InvalidEvent``, ``UnknownEvent``, ``TenantMismatch`` and what a send raises."""
        source = brought.source
        if brought.name not in source.events:
            raise InvalidEvent(f"{source.place} may bring {', '.join(sorted(source.events))}, not {brought.name!r}")
        tenant_id = brought.payload.get("tenant_id")
        if source.tenants is not None and tenant_id not in source.tenants:
            raise TenantMismatch(f"{source.place} may not speak for the tenant {tenant_id!r}")
        key = f"{source.provider}:{source.place}:{brought.vendor_id}"
        sent = await self.send(brought.name, dict(brought.payload), key=key, key_ttl=KEY_TTL)
        return sent.event_id
