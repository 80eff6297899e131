"""Answering a run by its signed link: what the link asks, and sending the answer. What a web page of approvals calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cgk_jobs.clock import from_micros
from cgk_jobs.engine.reads import Reads
from cgk_jobs.engine.records import RunRecord
from cgk_jobs.engine.states import State
from cgk_jobs.errors import InvalidEvent, RunCancelled, RunExpired, RunFailed, RunNotFound
from cgk_jobs.events.codec import from_mapping
from cgk_jobs.events.event import Event
from cgk_jobs.events.sent import Sent
from cgk_jobs.runtime.approving import LONGEST_LINK, Grant, Links
from cgk_jobs.tenancy.context import require_same_tenant, tenant_context
from cgk_jobs.wire.ids import parse_id

__all__ = ["Approval", "Approvals"]

_TOO_LATE: dict[State, type[RunFailed] | type[RunCancelled] | type[RunExpired]] = {
    "failed": RunFailed,
    "cancelled": RunCancelled,
    "expired": RunExpired,
}


@dataclass(frozen=True, slots=True)
class Approval:
    """What a genuine link asks for.

    ``fields`` are settled by the link; ``asks`` are the event's other fields, to be given with the answer, the required ones
    in ``required``. ``state`` is the run's.
    """

    tenant_id: str
    run_id: str
    task: str
    state: State
    event: type[Event]
    fields: Mapping[str, Any]
    asks: tuple[str, ...]
    required: tuple[str, ...]
    expires_at: datetime


class Approvals:
    """The links of one application, read and answered. Tenant, run and event are taken from the signed token alone."""

    def __init__(
        self,
        links: Links,
        reads: Reads,
        find_event: Callable[[str], type[Event]],
        send: Callable[..., Awaitable[Any]],
    ) -> None:
        self._links = links
        self._reads = reads
        self._find_event = find_event
        self._send = send

    async def _open(self, token: str) -> tuple[Grant, RunRecord, type[Event]]:
        grant = self._links.read(token)
        require_same_tenant(grant.tenant_id)
        numbers = parse_id(grant.run_id)
        record = None if numbers is None else await self._reads.run(grant.tenant_id, *numbers)
        if record is None:
            raise RunNotFound(
                f"the run that asked, {grant.run_id}, is not in this ledger: it was deleted, or the link is of another "
                "installation with the same signing key"
            )
        return grant, record, self._find_event(grant.event)

    async def read(self, token: str) -> Approval:
        """What a link asks for; nothing is sent. Raises as :meth:`approve` does for the link."""
        grant, record, cls = await self._open(token)
        asked = {name: field for name, field in cls.model_fields.items() if name not in (*grant.fields, "tenant_id")}
        return Approval(
            tenant_id=grant.tenant_id,
            run_id=grant.run_id,
            task=record.task,
            state=record.state,
            event=cls,
            fields=grant.fields,
            asks=tuple(asked),
            required=tuple(name for name, field in asked.items() if field.is_required()),
            expires_at=from_micros(grant.expires_at * 1_000_000),
        )

    async def approve(self, token: str, fields: Mapping[str, Any]) -> Sent:
        """Send the link's event with ``fields`` besides those of the link. A second time is a ``duplicate``.

        Raises ``InvalidToken`` (forged, damaged, expired), ``RunNotFound``, ``UnknownEvent``, ``TenantMismatch`` inside
        another tenant, ``InvalidEvent`` for fields the link settles or the event does not have, ``DuplicateKey`` if the
        link was answered otherwise, and ``RunFailed``, ``RunCancelled`` or ``RunExpired`` where its run ended so: nothing is
        sent then.
        """
        grant, record, cls = await self._open(token)
        settled = sorted(fields.keys() & {"tenant_id", *grant.fields})
        if settled:
            raise InvalidEvent(f"{cls.event_name}: {', '.join(settled)} is settled by the link: leave it out")
        event = from_mapping(cls, {**fields, **grant.fields, "tenant_id": grant.tenant_id})
        too_late = _TOO_LATE.get(record.state)
        if too_late is not None:
            raise too_late(f"too late: run {grant.run_id}, which asked, is {record.state}. Nothing was sent")
        with tenant_context(grant.tenant_id):
            # Remembered for longer than any link for this decision that is out by now.
            sent: Sent = await self._send(event, key=grant.key, key_ttl=LONGEST_LINK)
        return sent
