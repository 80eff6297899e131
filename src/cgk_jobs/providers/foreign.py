"""Events made elsewhere: a job of a Node producer, an event of another Inngest application.

Such a source is not signed by the application, so it only claims to speak for a tenant: each source is declared with the events
and the tenants it may speak for. What it brings is checked like any send, and the vendor's id is the idempotency key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

__all__ = ["Brought", "ForeignSource", "Receive", "TakesForeignEvents"]


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
