"""The only module that asks the time.

Stored moments are integer microseconds since 1970 UTC: exact, and compared by SQL without parsing. ``Clock`` is an
argument of :class:`cgk_jobs.Jobs`, so that a test or a replay moves time itself (:class:`ManualClock`).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

__all__ = [
    "Clock",
    "ManualClock",
    "SystemClock",
    "from_micros",
    "monotonic",
    "process_cpu_seconds",
    "to_micros",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """What the package asks for: the wall-clock time as microseconds since 1970 UTC, and whether it moves by itself."""

    @property
    def manual(self) -> bool:
        """True where only a caller moves the time: no timer is then set for a moment of this clock."""
        ...

    def micros(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        ...


class SystemClock:
    """The machine's clock, or, once it follows another one, that: a ledger on another machine says what time it is."""

    manual = False

    def __init__(self) -> None:
        self._ahead: int | None = None

    def micros(self) -> int:
        if self._ahead is None:
            return time.time_ns() // 1000
        return time.monotonic_ns() // 1000 + self._ahead

    def follow(self, micros: int) -> None:
        """From now on go on from this moment, whatever becomes of the machine's own clock."""
        self._ahead = micros - time.monotonic_ns() // 1000


class ManualClock:
    """A clock that stands still until it is moved.

    ``start`` is an aware datetime. Raises ``ValueError`` for a naive one.
    """

    manual = True

    def __init__(self, start: datetime) -> None:
        self._micros = to_micros(start)

    def micros(self) -> int:
        return self._micros

    def now(self) -> datetime:
        """The present moment of this clock, UTC."""
        return from_micros(self._micros)

    def advance(self, by: float | timedelta) -> None:
        """Move by seconds or a ``timedelta``; negative steps back, as a corrected machine clock does."""
        seconds = by.total_seconds() if isinstance(by, timedelta) else by
        self._micros += round(seconds * 1_000_000)

    def set(self, moment: datetime) -> None:
        """Move to an aware datetime."""
        self._micros = to_micros(moment)


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970 UTC of an aware datetime; ``ValueError`` for a naive one."""
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise ValueError(f"{moment!r} is naive: give it a time zone, for example tzinfo=datetime.UTC")
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_micros(micros: int) -> datetime:
    """The aware UTC datetime of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=micros)


def monotonic() -> float:
    """Seconds of a clock that never steps; for durations and leases, never stored as a moment."""
    return time.monotonic()


def process_cpu_seconds() -> float:
    """CPU seconds this process has used."""
    return time.process_time()
