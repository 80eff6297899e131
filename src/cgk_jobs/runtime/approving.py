"""Links by which a person answers a run that waits: what a link says, and how it is signed and read again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from cgk_jobs.clock import Clock, from_micros
from cgk_jobs.errors import InvalidEvent, InvalidToken, NotConfigured, Unsupported
from cgk_jobs.events.event import Event
from cgk_jobs.events.secret import holds_secret
from cgk_jobs.events.sent import Duration, seconds
from cgk_jobs.runtime.matching import Match, values_of
from cgk_jobs.tenancy.ids import PLATFORM
from cgk_jobs.wire.json import dumps, loads
from cgk_jobs.wire.signing import Signer, TokenExpired, TokenInvalid

if TYPE_CHECKING:
    from cgk_jobs.runtime.context import Context

__all__ = ["LONGEST_LINK", "PATH", "ApprovalLink", "Grant", "Links", "approval_link"]

LONGEST_LINK = 366 * 86_400.0
"""Seconds a link may be good for."""
PATH = "approve"
"""Where the links lead, below the public address."""
_PURPOSE = "approval"
_LONGEST_NAME = 100


class Grant(NamedTuple):
    """What a link says: its holder may send this event to this run's tenant, with ``fields`` as they are.

    Links of one run with one ``name`` are one decision: they share the idempotency key. ``expires_at``: seconds since 1970.
    """

    tenant_id: str
    run_id: str
    event: str
    name: str
    fields: dict[str, Any]
    expires_at: int

    @property
    def key(self) -> str:
        """The idempotency key under which the event is sent."""
        return f"approval:{self.run_id}:{self.name}"


@dataclass(frozen=True, slots=True)
class ApprovalLink:
    """A link for one person. Whoever has it can answer, so ``repr`` shows neither token nor address."""

    token: str = field(repr=False)
    """For ``jobs.approve``."""
    expires_at: datetime
    _public_url: str | None = field(repr=False)

    @property
    def url(self) -> str:
        """Where the person is asked, below ``JOBS_PUBLIC_URL``. Raises ``NotConfigured`` without it."""
        if self._public_url is None:
            raise NotConfigured(
                "the address of an approval link needs JOBS_PUBLIC_URL=https://…, where this application is reached from "
                "outside; for an address of your own use link.token"
            )
        return f"{self._public_url}/{PATH}/{self.token}"


class Links:
    """Signs and reads the links of one application."""

    def __init__(self, keys: Sequence[bytes], public_url: str | None, clock: Clock) -> None:
        self._signer = Signer(keys) if keys else None
        self._public_url = public_url
        self._clock = clock

    def _signing(self) -> Signer:
        if self._signer is None:
            raise NotConfigured(
                "approval links need JOBS_SIGNING_KEY, the same in every process; make one with: "
                "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        return self._signer

    def issue(self, grant: Grant) -> ApprovalLink:
        """The link of a grant. Raises ``NotConfigured`` without a signing key."""
        claims = [grant.tenant_id, grant.run_id, grant.event, grant.name, grant.fields]
        token = self._signing().sign(_PURPOSE, dumps(claims).encode(), grant.expires_at)
        return ApprovalLink(token, from_micros(grant.expires_at * 1_000_000), self._public_url)

    def read(self, token: str) -> Grant:
        """What a link says. Raises ``InvalidToken`` for one that was not made here or is too old, ``NotConfigured``."""
        now = self._clock.micros() // 1_000_000
        try:
            opened = self._signing().open(_PURPOSE, token, now)
        except TokenExpired:
            raise InvalidToken("this approval link is too old: ask for a new one", expired=True) from None
        except TokenInvalid:
            raise InvalidToken(
                "this is no approval link of this application: use it as it was sent, whole and unchanged. Links that were "
                "good before need the JOBS_SIGNING_KEY they were made with: while exchanging keys set it to new,old"
            ) from None
        tenant_id, run_id, event, name, fields = loads(opened.claims)
        return Grant(tenant_id, run_id, event, name, fields, opened.expires_at)


def approval_link(ctx: Context, cls: type[Event], match: Match, expires: Duration, name: str | None) -> ApprovalLink:
    """The link; see ``Context.approval_link``."""
    what = f"approval_link({cls.event_name})"
    if ctx.tenant_id == PLATFORM:
        raise Unsupported(
            "ctx.approval_link",
            "a run of the installation itself",
            "Events belong to tenants: ask in a run of the tenant's own.",
        )
    lifetime = seconds(expires)
    if not 0 < lifetime <= LONGEST_LINK:
        raise InvalidEvent(f"{what}: expires={expires!r}: more than 0 seconds, at most 366 days")
    fields = values_of(cls, match, ctx.event, what)
    for field_name, value in fields.items():
        if holds_secret(cls, field_name, value):
            raise InvalidEvent(f"{what}: the field {field_name!r} is secret, and who has a link can read what is in it")
    if name is not None and not 1 <= len(name) <= _LONGEST_NAME:
        raise InvalidEvent(f"{what}: name is 1 to {_LONGEST_NAME} characters")
    expires_at = -(-(ctx.services.clock.micros() + round(lifetime * 1e6)) // 1_000_000)
    chosen = name or _digest(fields)
    return ctx.services.links.issue(Grant(ctx.tenant_id, ctx.run_id, cls.event_name, chosen, fields, expires_at))


def _digest(fields: dict[str, Any]) -> str:
    # Other fields, another decision; and a name nobody gives by chance.
    return hashlib.sha256(dumps(fields).encode()).hexdigest()[:32]
