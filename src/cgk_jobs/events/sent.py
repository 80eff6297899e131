"""What goes into a send and what comes out of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cgk_jobs.errors import InvalidEvent
from cgk_jobs.events.event import Event
from cgk_jobs.wire.ids import to_id
from cgk_jobs.wire.text import is_storable

__all__ = [
    "DEFAULT_KEY_TTL",
    "TAG_RULE",
    "Duration",
    "Send",
    "SendOptions",
    "Sent",
    "SentStatus",
    "are_tags",
    "seconds",
]

Duration = float | int | timedelta
"""Seconds, or a ``timedelta``."""

SentStatus = Literal["accepted", "duplicate", "refused"]

TAG_RULE = "tags are 1 to 100 characters without commas and NUL"
DEFAULT_KEY_TTL = 24 * 3600.0
"""Seconds an idempotency key is remembered where the send states nothing else."""


@dataclass(frozen=True, slots=True)
class SendOptions:
    """How to send. Durations are seconds or ``timedelta``.

    ``delay`` or ``at`` (aware datetime, not both): not before then. ``key``: idempotency key, per tenant and event,
    remembered for ``key_ttl``. ``priority``: 0 to 100, instead of the task's. ``expires``: a run not started within this
    time after its due moment expires. ``tags``: added to the task's. Raises ``InvalidEvent``.
    """

    delay: Duration | None = None
    at: datetime | None = None
    key: str | None = None
    key_ttl: Duration = DEFAULT_KEY_TTL
    priority: int | None = None
    expires: Duration | None = None
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.delay is not None and self.at is not None:
            raise InvalidEvent("give either delay= or at=, not both")
        if self.delay is not None and not 0 <= seconds(self.delay) < 10 * 366 * 86_400:
            raise InvalidEvent(f"delay={self.delay!r}: zero or more seconds, at most ten years")
        if self.at is not None and (self.at.tzinfo is None or self.at.utcoffset() is None):
            raise InvalidEvent(f"at={self.at!r} is a naive datetime: add tzinfo=datetime.UTC")
        if self.key is not None and not (1 <= len(self.key) <= 255 and is_storable(self.key)):
            raise InvalidEvent("key must be 1 to 255 characters without NUL")
        if not 0 < seconds(self.key_ttl) < float("inf"):
            raise InvalidEvent("key_ttl must be more than 0 seconds")
        if self.priority is not None and not 0 <= self.priority <= 100:
            raise InvalidEvent(f"priority={self.priority}: 0 (default) to 100 (first)")
        if self.expires is not None and not 0 < seconds(self.expires) < float("inf"):
            raise InvalidEvent(f"expires={self.expires!r}: more than 0 seconds")
        if not are_tags(self.tags):
            raise InvalidEvent(TAG_RULE)


@dataclass(frozen=True, slots=True)
class Send:
    """One event of ``send_many`` with options of its own: ``Send(event, key="…", delay=60)``."""

    event: Event
    delay: Duration | None = None
    at: datetime | None = None
    key: str | None = None
    key_ttl: Duration = DEFAULT_KEY_TTL
    priority: int | None = None
    expires: Duration | None = None
    tags: tuple[str, ...] = ()

    def options(self) -> SendOptions:
        """The options alone, checked."""
        return SendOptions(self.delay, self.at, self.key, self.key_ttl, self.priority, self.expires, tuple(self.tags))


class Sent:
    """The answer to a send: durable once returned.

    ``status``: ``accepted``; ``duplicate`` (its key was used before, or its task is unique and has a run for it: the ids
    are those of the runs there are); ``refused`` (by a throttle, or in ``send_many``: ``error`` says why and nothing of it
    was stored; ``event_id`` is empty). ``run_ids`` is empty if no task listens. Ids are UUIDv7 texts, made when asked for:
    most senders never look at them.
    """

    __slots__ = ("_event_seq", "_nonce", "_nonces", "_run_seqs", "error", "status")

    def __init__(
        self,
        event_seq: int,
        nonce: int,
        run_seqs: tuple[int, ...] = (),
        status: SentStatus = "accepted",
        error: str | None = None,
        nonces: tuple[int, ...] | None = None,
    ) -> None:
        self._event_seq = event_seq
        self._nonces = nonces
        self._nonce = nonce
        self._run_seqs = run_seqs
        self.status: SentStatus = status
        self.error = error

    @property
    def event_id(self) -> str:
        """The event's UUIDv7."""
        return to_id(self._event_seq, self._nonce) if self._event_seq else ""

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The runs it made, became part of, or found, one for each task that listens."""
        if self._nonces is not None:
            return tuple([to_id(*run) for run in zip(self._run_seqs, self._nonces, strict=True)])
        return tuple([to_id(seq, self._nonce) for seq in self._run_seqs])

    @property
    def run_id(self) -> str:
        """The only run. Raises ``InvalidEvent`` if there are none or several."""
        if self.status == "refused":
            raise InvalidEvent(f"this send was refused and has no run: {self.error}")
        if len(self._run_seqs) != 1:
            raise InvalidEvent(f"this send made {len(self._run_seqs)} runs; use run_ids")
        return self.run_ids[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sent) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return self._event_seq, self._nonce, self._run_seqs, self._nonces, self.status, self.error

    def __repr__(self) -> str:
        reason = f", error={self.error!r}" if self.error else ""
        return f"Sent(event_id={self.event_id!r}, run_ids={self.run_ids!r}, status={self.status!r}{reason})"


def are_tags(tags: Iterable[str]) -> bool:
    """Whether all of these are tags: ``TAG_RULE``."""
    return all(0 < len(tag) <= 100 and "," not in tag and is_storable(tag) for tag in tags)


def seconds(value: Duration) -> float:
    """Seconds of a duration."""
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


PLAIN = SendOptions()
"""No option at all: shared, as most sends have none."""
