"""Moving an installation from one provider to another while it works: the wake-ups move, the runs stay where they are.

1. Plan: what is outstanding, and at whom.
2. Side by side: the new provider becomes the active one, the old one drains. Relays hand every live run's wake-up to the new
   one; both ring, and the ledger decides.
3. Withdraw: the old provider's wake-ups are taken back. What can't be taken back rings once more and finds nothing.
4. Done: nothing is outstanding at the old one, and it is forgotten.

Each part is a change of the ledger that can be done again, so a move that was killed goes on where it was, and one that is not
liked is undone by moving back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field, replace

from cgk_jobs.clock import monotonic
from cgk_jobs.engine.reads import RunFilter
from cgk_jobs.engine.states import FINAL, State
from cgk_jobs.engine.store import Store
from cgk_jobs.engine.wakeups import ActiveProvider, Outstanding
from cgk_jobs.errors import JobsError, ProviderUnavailable, WaitTimeout
from cgk_jobs.providers.hosting import CLAIMING
from cgk_jobs.providers.provider import Handed, JobProvider
from cgk_jobs.providers.relay import Relay

__all__ = ["Move", "MoveReport", "move", "plan"]

PORTION = 500
PAUSE = 0.5
"""Seconds between looks at what is left."""


@dataclass
class MoveReport:
    """Where a move stands. ``runs``: live runs by state. ``at``: wake-ups by provider. ``withdrawn``: those taken back so far;
    ``let_ring``: those that could not be, and ring once more in vain. ``done``: nothing is left at the old provider.
    """

    source: str
    target: str
    runs: dict[State, int] = field(default_factory=dict[State, int])
    at: dict[str, Outstanding] = field(default_factory=dict[str, Outstanding])
    withdrawn: int = 0
    let_ring: int = 0
    stage: str = "planned"
    trouble: str = ""
    done: bool = False

    @property
    def left(self) -> int:
        """Wake-ups still at a provider that is left."""
        return sum(sum(count) for name, count in self.at.items() if name != self.target)


@dataclass(frozen=True)
class Move:
    """What a move works on. ``make`` makes a provider by its name; ``relay`` one's relay, for where no process runs one."""

    store: Store
    default: str
    make: Callable[[str], JobProvider]
    relay: Callable[[JobProvider], Relay]


async def plan(work: Move, target: str) -> MoveReport:
    """What there is to move; changes nothing. Raises ``NotConfigured`` and ``Unsupported`` as the move would."""
    if target not in CLAIMING:
        await work.make(target).close()
    active = await work.store.active_provider(work.default)
    report = MoveReport(active.name, target)
    await _count(work.store, report)
    return report


async def move(work: Move, target: str, *, timeout: float) -> AsyncGenerator[MoveReport, None]:
    """Move to ``target``, or go on with a move there; yields the report whenever it changed, the last one ``done``.

    Raises ``NotConfigured`` if the target's settings are missing, ``ProviderUnavailable`` if it does not answer (nothing has
    been changed then), and ``WaitTimeout`` after ``timeout`` seconds: the installation works on, and the move can be gone on with.
    """
    providers = _Providers(work.make)
    try:
        async for report in _move(replace(work, make=providers.make), target, timeout):
            yield report
    finally:
        await providers.close()


async def _move(work: Move, target: str, timeout: float) -> AsyncGenerator[MoveReport, None]:
    await _require_ready(work, target)
    ends_at = monotonic() + timeout
    active = await _activate(work, target)
    report = MoveReport(", ".join(active.draining) or target, target, stage="side by side")
    await _count(work.store, report)
    yield report
    relay = None if target in CLAIMING else work.relay(work.make(target))
    while active.draining:
        if relay is not None:
            # The processes' relays do the same; this one is for an installation whose processes sleep between calls.
            await relay.flush()
        for name in active.draining:
            await _withdraw(work, name, report)
        await _count(work.store, report)
        if report.left == 0:
            active = await _finish(work, active)
            continue
        yield report
        if monotonic() >= ends_at:
            raise WaitTimeout(
                f"{report.left:,} wake-ups are still at {report.source} after {timeout:g} s{report.trouble and ': '}{report.trouble}. "
                f"Both providers wake runs meanwhile; go on with: cgk jobs migrate --to {target}"
            )
        await asyncio.sleep(PAUSE)
    report.stage, report.done = "done", True
    await _count(work.store, report)
    yield report


class _Providers:
    """The providers of one move, each made once."""

    def __init__(self, make: Callable[[str], JobProvider]) -> None:
        self._make = make
        self._made: dict[str, JobProvider] = {}

    def make(self, name: str) -> JobProvider:
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    async def close(self) -> None:
        for provider in self._made.values():
            await provider.close()


async def _require_ready(work: Move, target: str) -> None:
    if target in CLAIMING:
        return
    health = await work.make(target).health()
    if not health.ok:
        raise ProviderUnavailable(f"{target} is not ready, so nothing was moved: {health.reason}")


async def _activate(work: Move, target: str) -> ActiveProvider:
    while True:
        active = await work.store.active_provider(work.default)
        if active.name == target:
            return active
        draining = tuple(name for name in dict.fromkeys((*active.draining, active.name)) if name != target)
        changed = await work.store.activate(target, draining, active.version)
        if changed is not None:
            return changed


async def _finish(work: Move, active: ActiveProvider) -> ActiveProvider:
    changed = await work.store.activate(active.name, (), active.version)
    return await work.store.active_provider(work.default) if changed is None else changed


async def _withdraw(work: Move, name: str, report: MoveReport) -> None:
    if name in CLAIMING:
        return
    provider = work.make(name)
    after = ""
    while True:
        records = await work.store.list_wakeups(name, after, PORTION)
        if not records:
            return
        after = records[-1].id
        try:
            gone = await provider.withdraw(
                [Handed(one.id, one.queue, one.reference) for one in records if one.reference]
            )
        except (JobsError, OSError) as error:
            # A provider that can't be reached rings nobody either, or rings in vain: the runs have their new wake-ups.
            report.trouble = str(error)
            gone = []
        report.withdrawn += sum(gone)
        report.let_ring += len(records) - sum(gone)
        await work.store.drop_wakeups([record.id for record in records])


async def _count(store: Store, report: MoveReport) -> None:
    counts = await store.reads.count(RunFilter(None, unfinished=True))
    report.runs = {state: count for state, count in counts.items() if count and state not in FINAL}
    found: Mapping[str, Outstanding] = await store.count_wakeups()
    report.at = dict(found)
