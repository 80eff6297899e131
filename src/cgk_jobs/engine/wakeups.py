"""What the ledger knows of wake-ups: which run has one, at which provider, and which have none yet.

A wake-up is a permit to claim one run of a queue. Each that was handed to a provider has a row until it rings or is taken
back; the run named there is the one it was made for, or was passed on to. A run that is ready, or due within the provider's
reach, and has no row gets one: that is the outbox. An installation whose workers claim by themselves writes none of this.
"""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from secrets import token_bytes
from typing import NamedTuple, Protocol

__all__ = ["LEASE", "ActiveProvider", "Demand", "Outstanding", "WakeupRecord", "Wakeups", "new_wakeup_id"]

LEASE = "lease:"
"""What the names of leases begin with where they are stored, beside signed calls."""


class ActiveProvider(NamedTuple):
    """Who wakes runs: ``name`` is handed new wake-ups. ``draining`` are those whose old ones may still ring.

    ``version`` rises with every change.
    """

    name: str
    draining: tuple[str, ...] = ()
    version: int = 0


class WakeupRecord(NamedTuple):
    """A wake-up for a run. Moments are microseconds since 1970 UTC.

    ``lane``: the run's priority. ``reference``: the provider's name for it; empty until it has acknowledged it.
    ``payload``: only where it was asked for. ``again``: it takes the place of one that did not ring in time.
    """

    id: str
    tenant_id: str
    run_seq: int
    run_nonce: int
    task: str
    queue: str
    lane: int
    due_at: int
    reference: str = ""
    payload: str | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Demand:
    """What a relay asks for.

    ``provider``: to whom they go. ``ahead``: microseconds from now up to which runs that are due later get theirs already.
    ``per_queue``: how many wake-ups of a queue that are due may be at the provider at a time, and as many that are due later.
    ``most``: in one answer. ``repeat_after``: microseconds after which one that was not acknowledged is handed out
    again. ``overdue_after``: microseconds after which a wake-up that has not rung is given up and another one made.
    ``with_payload``: tasks whose payload the provider may see.
    """

    provider: str
    ahead: int
    per_queue: int = 1_000
    most: int = 500
    repeat_after: int = 10_000_000
    overdue_after: int = 30_000_000
    with_payload: frozenset[str] = frozenset()


class Outstanding(NamedTuple):
    """Wake-ups of one provider, counted.

    ``handed``: acknowledged by it. ``overdue``: those of them that are due and have not rung. ``unacknowledged``: handed out,
    and whether it has them is not known. ``refused``: it never will. ``obsolete``: replaced or not needed, and counted nowhere
    else.
    """

    handed: int = 0
    unacknowledged: int = 0
    refused: int = 0
    overdue: int = 0
    obsolete: int = 0


def new_wakeup_id() -> str:
    """A new id: ``w`` and 125 random bits in base32. Nobody guesses one, and no two are alike."""
    return "w" + b32encode(token_bytes(16)).decode()[:25].lower()


class Wakeups(Protocol):
    """The verbs. Each is one transaction."""

    def active_provider(self, default: str) -> Awaitable[ActiveProvider]:
        """Who wakes runs; ``default`` from now on, if nobody was said yet."""
        ...

    def activate(self, name: str, draining: Sequence[str], version: int) -> Awaitable[ActiveProvider | None]:
        """Make ``name`` the active provider, if ``version`` is still the present one; else ``None``, and nothing changed."""
        ...

    def issue_wakeups(self, demand: Demand) -> Awaitable[list[WakeupRecord]]:
        """Wake-ups to be handed over now, written as not acknowledged.

        First those handed out before, ``repeat_after`` ago, and never acknowledged (the same ids). Then one for each run
        that is ready, not parked and has none that is due by now, in fair order within each queue; then for those that are
        scheduled, retrying or waiting and due by ``ahead``, the earliest first, that have none that is due as early. A run
        whose wake-up became due ``overdue_after`` ago, or is due later than the run, or is at a provider that is neither
        the active one nor ``demand.provider``, gets another; the former is marked obsolete.
        """
        ...

    def acknowledge_wakeups(self, provider: str, receipts: Sequence[tuple[str, str, str | None]]) -> Awaitable[int]:
        """Note what became of them: (id, reference, why it was refused or ``None``). Returns how many were still there."""
        ...

    def take_wakeups(self, ids: Sequence[str]) -> Awaitable[dict[str, WakeupRecord]]:
        """They rang: delete them, and answer those that there were. An id not answered has rung before, or never was."""
        ...

    def pass_on_wakeups(self, passed: Sequence[tuple[WakeupRecord, str, int]]) -> Awaitable[None]:
        """The run a wake-up was made for was not the one it claimed (tenant and number given).

        A wake-up of the claimed run, if there is one, is from now on for the run that is left.
        """
        ...

    def obsolete_wakeups(self, provider: str, count: int) -> Awaitable[list[WakeupRecord]]:
        """Acknowledged wake-ups to be taken back: replaced ones, and those of runs that ended or are held or parked."""
        ...

    def list_wakeups(self, provider: str, after: str, count: int) -> Awaitable[list[WakeupRecord]]:
        """All of a provider, by id, from the first above ``after``."""
        ...

    def drop_wakeups(self, ids: Sequence[str]) -> Awaitable[int]:
        """Forget wake-ups that were taken back; a run that still needs one gets another. Returns how many there were."""
        ...

    def count_wakeups(self) -> Awaitable[Mapping[str, Outstanding]]:
        """What is outstanding, by provider."""
        ...

    def first_seen(self, key: str, until: int) -> Awaitable[bool]:
        """Whether a signed call, known by ``key``, comes for the first time; it is remembered until a moment (microseconds)."""
        ...

    def was_seen(self, key: str) -> Awaitable[bool]:
        """Whether ``first_seen`` was asked about ``key`` and still remembers it."""
        ...

    def take_lease(self, name: str, seconds: float) -> Awaitable[int | None]:
        """Hold ``name`` for so long, alone among all processes: the lease's number, or ``None`` while another one is held."""
        ...

    def drop_lease(self, name: str, lease: int | None) -> Awaitable[bool]:
        """Let a lease go before its time; ``None``: whoever holds it. False: that one was over, and was taken or forgotten."""
        ...
