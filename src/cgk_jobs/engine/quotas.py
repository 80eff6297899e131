"""Quotas: how much of a tenant's the ledger takes. Pure: what an engine has counted goes in, the new count comes out.

A quota is counted in one row for each tenant that has one, in the transaction of the insert and of the settlement. A
tenant without a quota is counted nowhere and costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Literal, NamedTuple

from cgk_jobs.engine.records import NewEvent
from cgk_jobs.errors import InvalidEvent, QuotaExceeded, TenantClosed

__all__ = [
    "NOTHING",
    "RECOUNT_EVERY",
    "RECOUNT_FIRST",
    "Cost",
    "Counter",
    "Crossing",
    "Quota",
    "QuotaName",
    "TenantQuotas",
    "Use",
    "bytes_of",
    "charge",
    "cost_of",
    "returned",
    "uses",
]

QuotaName = Literal["queued", "payload_bytes", "sends"]

RECOUNT_FIRST = 30_000_000
"""Microseconds after which what a new quota counts is counted anew: by then every process knows of the quota."""
RECOUNT_EVERY = 3_600_000_000
"""Microseconds between two such counts later on."""
_TOLD_AGAIN_BELOW = 0.9
"""Share of the soft quota below which use must have fallen before its crossing is told of again."""

_BITS: dict[QuotaName, int] = {"queued": 1, "payload_bytes": 2, "sends": 4}
"""The bit of a counter's ``warned`` for each quota."""


@dataclass(frozen=True, slots=True)
class Quota:
    """A soft and a hard quota. At ``soft`` a warning is given, once for each crossing; beyond ``hard`` sends are refused.

    ``seconds``: the window of a quota of sends, and of no other. Raises ``InvalidEvent`` for values that can't work.
    """

    soft: int | None = None
    hard: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.soft is None and self.hard is None:
            raise InvalidEvent("Quota(): give soft=, hard= or both; None in the place of a Quota lifts it")
        for name, value in (("soft", self.soft), ("hard", self.hard)):
            if value is not None and not 1 <= value < 1 << 53:
                raise InvalidEvent(f"Quota({name}={value}): at least 1; to stop a tenant's runs, pause it")
        if self.soft is not None and self.hard is not None and self.soft > self.hard:
            raise InvalidEvent(f"Quota(soft={self.soft}, hard={self.hard}): the warning comes first: soft at most hard")
        if self.seconds is not None and not 0.001 <= self.seconds <= 366 * 86_400:
            raise InvalidEvent(f"Quota(seconds={self.seconds}): a window from a millisecond to a year")


class TenantQuotas(NamedTuple):
    """The quotas of a tenant as they are stored. ``closed``: it is being purged, and nothing is taken from it."""

    tenant_id: str
    queued_soft: int | None = None
    queued_hard: int | None = None
    bytes_soft: int | None = None
    bytes_hard: int | None = None
    sends_soft: int | None = None
    sends_hard: int | None = None
    sends_seconds: float | None = None
    closed: bool = False

    @property
    def is_empty(self) -> bool:
        """Nothing is limited."""
        return not self.closed and all(value is None for value in self[1:7])


class Counter(NamedTuple):
    """What a tenant has used. ``sends`` counts since ``window_at``, ``sends_before`` in the window before that.

    ``warned``: a bit for each soft quota that was told of. ``refused_ticks``: ticks of schedules the hard quota refused.
    """

    tenant_id: str
    runs: int = 0
    payload_bytes: int = 0
    window_at: int = 0
    sends: int = 0
    sends_before: int = 0
    warned: int = 0
    refused_ticks: int = 0
    recount_at: int = 0


class Cost(NamedTuple):
    """What events add to a tenant's count: the events, their runs, and the bytes of the runs' payloads."""

    events: int = 0
    runs: int = 0
    payload_bytes: int = 0

    def plus(self, other: Cost) -> Cost:
        """Both together."""
        return Cost(*[mine + its for mine, its in zip(self, other, strict=True)])

    def minus(self, other: Cost) -> Cost:
        """What is left of it once the other is paid."""
        return Cost(*[mine - its for mine, its in zip(self, other, strict=True)])


NOTHING = Cost()


class Use(NamedTuple):
    """One quota and how far it is used."""

    name: QuotaName
    used: int
    soft: int | None
    hard: int | None
    seconds: float | None = None


class Crossing(NamedTuple):
    """A tenant reached a soft quota."""

    tenant_id: str
    use: Use


def bytes_of(payload: str) -> int:
    """The bytes a payload takes as it is stored."""
    return len(payload) if payload.isascii() else len(payload.encode())


def cost_of(event: NewEvent, runs: int) -> Cost:
    """What one event with so many runs costs. Each run keeps the payload by itself."""
    return Cost(1, runs, runs * bytes_of(event.payload))


def uses(quotas: TenantQuotas, counter: Counter, now: int) -> Iterator[Use]:
    """Every quota the tenant has, with its use at a moment (microseconds)."""
    if quotas.queued_soft is not None or quotas.queued_hard is not None:
        yield Use("queued", counter.runs, quotas.queued_soft, quotas.queued_hard)
    if quotas.bytes_soft is not None or quotas.bytes_hard is not None:
        yield Use("payload_bytes", counter.payload_bytes, quotas.bytes_soft, quotas.bytes_hard)
    if quotas.sends_seconds is not None and (quotas.sends_soft is not None or quotas.sends_hard is not None):
        used = _sends_in_window(_turned(counter, quotas.sends_seconds, now), quotas.sends_seconds, now)
        yield Use("sends", used, quotas.sends_soft, quotas.sends_hard, quotas.sends_seconds)


def charge(quotas: TenantQuotas, counter: Counter, cost: Cost, now: int) -> tuple[Counter, list[Crossing]]:
    """The count with ``cost`` added, and the soft quotas it reaches.

    Raises ``TenantClosed``, and ``QuotaExceeded`` if a hard quota does not take all of it.
    """
    if quotas.closed:
        raise TenantClosed(
            f"tenant {quotas.tenant_id} is being purged: nothing is taken from it until that has ended. "
            "If the purge was interrupted, run it again: cgk jobs tenants purge",
            tenant_id=quotas.tenant_id,
        )
    if quotas.sends_seconds is not None:
        counter = _turned(counter, quotas.sends_seconds, now)
    crossed: list[Crossing] = []
    warned = counter.warned
    for use in uses(quotas, counter, now):
        added, bit = _part_of(cost, use.name), _BITS[use.name]
        after = use.used + added
        if added > 0 and use.hard is not None and after > use.hard:
            raise _exceeded(quotas.tenant_id, use, added)
        if use.soft is None:
            continue
        if use.used < use.soft * _TOLD_AGAIN_BELOW:
            warned &= ~bit
        if after >= use.soft and not warned & bit:
            warned |= bit
            crossed.append(Crossing(quotas.tenant_id, use._replace(used=after)))
    counter = counter._replace(
        runs=counter.runs + cost.runs,
        payload_bytes=counter.payload_bytes + cost.payload_bytes,
        sends=counter.sends + cost.events,
        warned=warned,
    )
    return counter, crossed


def returned(counter: Counter, runs: int, payload_bytes: int) -> Counter:
    """The count after so many runs have ended."""
    return counter._replace(
        runs=max(counter.runs - runs, 0), payload_bytes=max(counter.payload_bytes - payload_bytes, 0)
    )


def _part_of(cost: Cost, name: QuotaName) -> int:
    return {"queued": cost.runs, "payload_bytes": cost.payload_bytes, "sends": cost.events}[name]


def _turned(counter: Counter, seconds: float, now: int) -> Counter:
    """The counter in the window ``now`` lies in."""
    length = round(seconds * 1e6)
    start = now - now % length
    if counter.window_at >= start:
        # Or the clock stepped back: then what was counted goes on counting.
        return counter
    before = counter.sends if counter.window_at == start - length else 0
    return counter._replace(window_at=start, sends=0, sends_before=before)


def _sends_in_window(counter: Counter, seconds: float, now: int) -> int:
    """Sends in the last ``seconds``: those of the running window, and the share of the one before that still counts."""
    length = round(seconds * 1e6)
    gone = min(max((now - counter.window_at) / length, 0.0), 1.0)
    return counter.sends + ceil(counter.sends_before * (1 - gone))


def _exceeded(tenant_id: str, use: Use, added: int) -> QuotaExceeded:
    used, hard = f"{use.used:,}", f"{use.hard:,}"
    what, remedy = {
        "queued": (f"{used} runs that have not ended", "wait until some have"),
        "payload_bytes": (f"{used} bytes of payloads waiting", "wait until some of its runs have ended"),
        "sends": (f"{used} sends in {use.seconds or 0:g} s", "send it later"),
    }[use.name]
    return QuotaExceeded(
        f"tenant {tenant_id} has {what}, its quota is {hard}, and this send would add {added:,}: {remedy}, or change the "
        f"quota with jobs.tenants.limit({tenant_id!r}, {use.name}=…). Nothing of the send was stored",
        tenant_id=tenant_id,
        quota=use.name,
        used=use.used,
        hard=use.hard or 0,
    )
