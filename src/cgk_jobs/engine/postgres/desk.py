"""What a worker exchanges with the ledger: settlements against claims, and what has become due in between."""

from __future__ import annotations

from collections.abc import Sequence

from asyncpg import Record

from cgk_jobs.clock import Clock, SystemClock, monotonic
from cgk_jobs.engine.holds import unknown_task_hold
from cgk_jobs.engine.postgres.arrivals import Arrivals
from cgk_jobs.engine.postgres.claiming import Claiming, StaleSettings
from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.postgres.endings import Endings
from cgk_jobs.engine.postgres.flow_arrivals import FlowArrivals
from cgk_jobs.engine.postgres.flowing import FlowGate
from cgk_jobs.engine.postgres.limits import LimitBook
from cgk_jobs.engine.postgres.placing import Placing
from cgk_jobs.engine.postgres.readying import Waiting, make_ready, release_anew
from cgk_jobs.engine.postgres.settling import Settled, Settling, is_plain
from cgk_jobs.engine.postgres.waits import WaitBook
from cgk_jobs.engine.records import Appetite, Claim, Exchange, Settlement
from cgk_jobs.errors import ProviderUnavailable

__all__ = ["Desk"]

_PROMOTED_AT_ONCE = 500
LOOK_EVERY = 0.2
"""Seconds after which a process asks what is due although it knows of nothing: others send and settle too."""
_ADOPT_EVERY = 5.0
"""Seconds after which a process looks for runs parked because others don't know their task."""
AGREED_FOR = 10.0
"""Seconds after which a sender asks the database for the time again."""
_TOLERATED = 20_000
"""Microseconds this process's clock may differ: as much as an answer may take."""
_REFRESHES = 20


class Desk:
    """Where attempts begin and end, for the workers of one process."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        configuration: Configuration,
        placing: Placing,
        limits: LimitBook,
        endings: Endings,
        waits: WaitBook,
        gate: FlowGate,
    ) -> None:
        self._database = database
        self._clock = clock
        self._configuration = configuration
        self._placing = placing
        self._limits = limits
        self._settling = Settling(database, configuration, placing, limits, endings)
        self._claiming = Claiming(database, configuration, placing, limits, endings)
        self._arrivals = Arrivals(database, configuration, placing, waits)
        self._flow_arrivals = FlowArrivals(database, configuration, placing, gate, endings)
        self._next_due: int | None = None
        self._look_at = 0.0
        self._adopt_at = 0.0
        self._agreed_at = float("-inf")

    def due_at(self, moment: int | None) -> None:
        """A run was given this moment by this process."""
        if moment is not None and (self._next_due is None or moment < self._next_due):
            self._next_due = moment
            self._look_at = min(self._look_at, monotonic() + (moment - self._clock.micros()) / 1e6)

    async def exchange(
        self, worker: int, settlements: Sequence[Settlement], appetite: Appetite | None
    ) -> tuple[Exchange, Settled]:
        """Write how attempts ended, make ready what is due, and hand out new claims."""
        # What is counted for a quota is not plain: a tenant with quotas pays for it with a transaction, nobody else does.
        quotas = self._configuration.quotas
        plain: list[Settlement] = []
        rest: list[Settlement] = []
        for item in settlements:
            (plain if is_plain(item) and item.claim.tenant_id not in quotas else rest).append(item)
        told = await self._settling.settle(rest) if rest else Settled()
        self.due_at(told.first_due)
        await self._promote(told)
        claims: list[Claim] = []
        more = False
        if appetite is None or appetite.count <= 0:
            if plain:
                _add(told, await self._settling.complete(plain))
        else:
            claims, more = await self._claim(worker, plain, appetite, told)
        stale = told.stale
        if len(stale) > 1:
            # In the order given.
            lost = {claim.seq for claim in stale}
            stale = [item.claim for item in settlements if item.claim.seq in lost]
        return Exchange(claims, stale, self._next_due, more), told

    # -- claiming ----------------------------------------------------------------------------------------------------

    async def _claim(
        self, worker: int, plain: Sequence[Settlement], appetite: Appetite, told: Settled
    ) -> tuple[list[Claim], bool]:
        for _ in range(_REFRESHES):
            try:
                if self._configuration.version is None:
                    await self._configuration.refresh(self._database)
                return await self._claim_once(worker, plain, appetite, told)
            except StaleSettings:
                plain = ()
                await self._configuration.refresh(self._database)
        return [], True

    async def _claim_once(
        self, worker: int, plain: Sequence[Settlement], appetite: Appetite, told: Settled
    ) -> tuple[list[Claim], bool]:
        queues = [queue for queue in appetite.queues if queue not in self._configuration.paused_queues]
        if monotonic() >= self._adopt_at or self._clock.manual:
            await self._adopt(appetite)
        if len(queues) > 1:
            queues = [row["queue"] for row in await self._database.rows("queues_with_work", queues)]
        if plain and (not queues or self._claiming.needs_care(queues[0])):
            _add(told, await self._settling.complete(plain))
            plain = ()
        claims: list[Claim] = []
        for queue in queues:
            wanted = appetite.count - len(claims)
            if self._claiming.needs_care(queue):
                found = await self._claiming.look_carefully(worker, queue, wanted, appetite)
            else:
                try:
                    ended, found = await self._claiming.exchange(
                        self._settling.columns(plain), worker, queue, wanted, appetite
                    )
                except StaleSettings as stale:
                    if plain:
                        _add(told, await self._settling.told_apart(plain, stale.args[0]))
                    if claims:
                        return claims, True
                    raise
                if plain:
                    _add(told, await self._settling.told_apart(plain, ended))
                    plain = ()
            claims += found.claims
            told.finished += found.expired
            if len(claims) >= appetite.count or found.more:
                return claims, True
        return claims, False

    async def _adopt(self, appetite: Appetite) -> None:
        """Make ready what a worker with other code has parked because it doesn't know a task this one knows."""
        self._adopt_at = monotonic() + _ADOPT_EVERY
        for row in await self._database.rows("held_unknown_tasks"):
            hold = row["held_by"]
            if hold.removeprefix(unknown_task_hold("")) in appetite.tasks:
                await self._release(hold)

    async def _release(self, hold: str) -> None:
        await self._database.retried(
            lambda work: release_anew(work, self._placing, self._configuration, hold, _PROMOTED_AT_ONCE)
        )

    # -- what is due -------------------------------------------------------------------------------------------------

    async def _promote(self, told: Settled) -> None:
        if not self._clock.manual and monotonic() < self._look_at:
            return
        row = await self._next()
        now, due = row["now"], row["due"]
        if row["undecided"] or row["arriving"] or (due is not None and due <= now):
            if row["undecided"]:
                made_ready, ended = await self._flow_arrivals.decide()
                told.made_ready += made_ready
                told.finished += ended
            awaited = await self._database.retried(lambda work: self._make_due_ready(work, now))
            if awaited or row["arriving"] or row["undecided"]:
                await self._arrivals.tell(now)
            row = await self._next()
            now, due = row["now"], row["due"]
        self._next_due = due
        wait = LOOK_EVERY if due is None else min(LOOK_EVERY, max(due - now, 0) / 1e6)
        self._look_at = monotonic() + wait

    async def _next(self) -> Record:
        row = await self._database.row("next_due", self._database.now)
        if row is None:
            raise ProviderUnavailable("the ledger did not say what is due")
        self._follow(row["now"])
        return row

    async def agree_on_time(self) -> None:
        """Let this process's clock follow the database's, unless it has done so lately."""
        if not self._clock.manual and monotonic() - self._agreed_at > AGREED_FOR:
            await self._next()

    def _follow(self, now: int) -> None:
        # A machine's clock may be minutes off, and step; delays and retries are counted from the database's.
        if isinstance(self._clock, SystemClock):
            self._agreed_at = monotonic()
            if abs(self._clock.micros() - now) > _TOLERATED:
                self._clock.follow(now)

    async def _make_due_ready(self, work: Work, now: int) -> bool:
        """Make ready what is due; whether there is some of which others must be told first."""
        rows = await work.rows("due_runs", now, _PROMOTED_AT_ONCE)
        known = self._configuration.tasks
        runs = [
            Waiting(
                row["tenant_id"], row["seq"], known[row["task"]].queue if row["task"] in known else row["queue"], row["lane"]
            )
            for row in rows if not row["awaited"]
        ]  # fmt: skip
        unseen = {row["tenant_id"] for row in rows} - self._configuration.seen
        if unseen:
            # Their first send was in a transaction of the application's, which might have been rolled back.
            await self._configuration.see_in(work, unseen)
        await make_ready(work, self._placing, self._configuration, runs)
        await self._limits.wake(work, now)
        return any(row["awaited"] for row in rows)


def _add(told: Settled, more: Settled) -> None:
    told.stale += more.stale
    told.finished += more.finished
