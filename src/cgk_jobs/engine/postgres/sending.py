"""Storing events: what one process sends at the same time becomes one statement."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from weakref import WeakKeyDictionary

from cgk_jobs.engine.postgres.batch import Batch
from cgk_jobs.engine.postgres.charging import costs_of, targets_of
from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Database, Outdated, Work
from cgk_jobs.engine.postgres.flow_sending import FlowSending, StorePlain
from cgk_jobs.engine.postgres.flowing import FlowGate
from cgk_jobs.engine.postgres.keys import KeyBook
from cgk_jobs.engine.postgres.lone import LoneSends
from cgk_jobs.engine.postgres.placing import Places, Placing
from cgk_jobs.engine.postgres.quotas import adjust_sends, charge_sends
from cgk_jobs.engine.postgres.waits import WaitBook
from cgk_jobs.engine.quotas import NOTHING, Cost, Crossing
from cgk_jobs.engine.records import NewEvent, Stored
from cgk_jobs.errors import ProviderUnavailable
from cgk_jobs.wire.ids import Nonces

__all__ = ["Sending"]

_FLIGHTS = 2
"""Statements of coalesced sends under way at once: while one waits for its commit, the next gathers."""
_AT_ONCE = 2_000
"""Events of one statement; more of one call are several statements of one transaction."""
_REFRESHES = 20
"""Times settings may change under one insert before it is given up."""

_Item = tuple[Sequence[NewEvent], "asyncio.Future[list[Stored]]"]


class _Turnstile:
    """The sends of one event loop."""

    __slots__ = ("flying", "scheduled", "tasks", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[_Item] = deque()
        self.flying = 0
        self.scheduled = False
        self.tasks: set[asyncio.Task[None]] = set()


class Sending:
    """Takes events in. ``told`` hears after each commit how many runs became ready and the first moment given."""

    def __init__(
        self,
        database: Database,
        configuration: Configuration,
        placing: Placing,
        waits: WaitBook,
        gate: FlowGate,
        told: Callable[[int, int | None], None],
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._placing = placing
        self._waits = waits
        self._told = told
        self._nonces = Nonces()
        self._keys = KeyBook(database)
        self._lone = LoneSends(database, configuration, placing, self._nonces)
        self._flow = FlowSending(configuration, placing, gate, self._nonces)
        self.quota_watchers: list[Callable[[Crossing], None]] = []
        self._turnstiles: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turnstile] = WeakKeyDictionary()

    async def insert(self, events: Sequence[NewEvent]) -> list[Stored]:
        """Store events, all or none.

        Raises ``DuplicateKey``, ``InvalidTask``, ``QuotaExceeded``, ``TenantClosed``, ``ProviderUnavailable``.
        """
        lone = self._lone.target(events)
        quotas = self._configuration.quotas
        if lone is None and (
            len(events) > _AT_ONCE
            or any(
                event.key is not None or event.tick_at is not None or event.tags or event.tenant_id in quotas
                for event in events
            )
        ):
            # Also where a quota may refuse it: those it would be coalesced with would all be sent again.
            return await self._insert_apart(events)
        loop = asyncio.get_running_loop()
        turnstile = self._turnstiles.get(loop)
        if turnstile is None:
            turnstile = self._turnstiles[loop] = _Turnstile()
        if turnstile.flying:
            return await self._coalesce(loop, turnstile, events)
        # A lone sender waits for nobody, and what others send meanwhile gathers.
        turnstile.flying += 1
        try:
            one = None if lone is None else await self._lone.store(events[0], lone)
            stored, batch = ([one], None) if one is not None else await self._store(self._database, events)
        finally:
            turnstile.flying -= 1
            if turnstile.waiting:
                self._take_off(loop, turnstile)
        if batch is None:
            self._told(1, None)
        else:
            self.tell([batch])
        return stored

    async def _insert_apart(self, events: Sequence[NewEvent]) -> list[Stored]:
        return await self.insert_with(events, _nothing_more)

    async def insert_with(
        self, events: Sequence[NewEvent], more: Callable[[Work, list[Stored]], Awaitable[None]]
    ) -> list[Stored]:
        """Store events, and do ``more`` in the same transaction."""
        batches: list[Batch] = []
        await self._see(self._database, events)

        async def verb(work: Work) -> list[Stored]:
            batches.clear()
            stored = await self.insert_in(work, events, batches)
            await more(work, stored)
            return stored

        stored = await self._database.retried(verb)
        self.tell(batches)
        return stored

    async def insert_in(
        self,
        work: Work,
        events: Sequence[NewEvent],
        batches: list[Batch] | None = None,
        paid: Mapping[str, Cost] = MappingProxyType({}),
    ) -> list[Stored]:
        """Store events in the caller's transaction; ``batches`` receives what is to be told after its commit.

        ``paid``: what has been counted for their tenants' quotas already.
        """
        fresh, answers = await self._keys.open(work, events)
        done: list[Stored] = []
        for start in range(0, len(fresh), _AT_ONCE):
            part, batch = await self._store(work, fresh[start : start + _AT_ONCE], paid)
            done += part
            if batches is not None:
                batches.append(batch)
        await self._keys.close(work, fresh, done)
        following = iter(done)
        return [next(following) if known is None else known(done) for known in answers]

    # -- one turn of a loop ------------------------------------------------------------------------------------------

    def _coalesce(
        self, loop: asyncio.AbstractEventLoop, turnstile: _Turnstile, events: Sequence[NewEvent]
    ) -> asyncio.Future[list[Stored]]:
        future: asyncio.Future[list[Stored]] = loop.create_future()
        turnstile.waiting.append((events, future))
        if turnstile.flying < _FLIGHTS and not turnstile.scheduled:
            turnstile.scheduled = True
            loop.call_soon(self._take_off, loop, turnstile)
        return future

    def _take_off(self, loop: asyncio.AbstractEventLoop, turnstile: _Turnstile) -> None:
        turnstile.scheduled = False
        if not turnstile.waiting or turnstile.flying >= _FLIGHTS:
            return
        items: list[_Item] = []
        count = 0
        while turnstile.waiting and (not items or count + len(turnstile.waiting[0][0]) <= _AT_ONCE):
            item = turnstile.waiting.popleft()
            items.append(item)
            count += len(item[0])
        turnstile.flying += 1
        task = loop.create_task(self._fly(loop, turnstile, items))
        turnstile.tasks.add(task)
        task.add_done_callback(turnstile.tasks.discard)

    async def _fly(self, loop: asyncio.AbstractEventLoop, turnstile: _Turnstile, items: list[_Item]) -> None:
        try:
            await self._fly_together(items)
        finally:
            turnstile.flying -= 1
            self._take_off(loop, turnstile)

    async def _fly_together(self, items: list[_Item]) -> None:
        try:
            events = items[0][0] if len(items) == 1 else [event for part, _ in items for event in part]
            stored, batch = await self._store(self._database, events)
        except Exception as error:
            if len(items) == 1:
                self._fail(items[0], error)
                return
            # Something in the group was refused: each again by itself, so that it fails alone.
            for item in items:
                await self._fly_together([item])
            return
        except BaseException as error:
            for item in items:
                self._fail(item, ProviderUnavailable(f"the process ends: {error!r}; it is not known what was stored"))
            raise
        start = 0
        for part, future in items:
            if not future.done():
                future.set_result(stored[start : start + len(part)])
            start += len(part)
        self.tell([batch])

    def _fail(self, item: _Item, error: Exception) -> None:
        if not item[1].done():
            item[1].set_exception(error)

    def tell(self, batches: Sequence[Batch]) -> None:
        """Say what batches have made ready, and which quotas they reached, now that they are committed."""
        self.tell_quotas([crossing for batch in batches for crossing in batch.crossings])
        made_ready = sum(batch.made_ready for batch in batches)
        moments = [batch.first_due for batch in batches if batch.first_due is not None]
        if made_ready or moments:
            self._told(made_ready, min(moments, default=None))

    def tell_quotas(self, crossings: Sequence[Crossing]) -> None:
        """Say which soft quotas were reached."""
        for crossing in crossings:
            for watcher in tuple(self.quota_watchers):
                watcher(crossing)

    # -- one statement -----------------------------------------------------------------------------------------------

    async def _store(
        self, work: Work, events: Sequence[NewEvent], paid: Mapping[str, Cost] = MappingProxyType({})
    ) -> tuple[list[Stored], Batch]:
        configuration = self._configuration
        now = self._database.now
        crossings: list[Crossing] = []
        for _ in range(_REFRESHES):
            if configuration.version is None:
                await configuration.refresh(work)
            await self._see(work, events)
            flowing, awaited = self._flow.concerns(events), self._waits.concerned(events)
            costs = costs_of(configuration, events) if configuration.quotas else None
            if (flowing or awaited or costs) and work is self._database:
                # What is stored is one transaction with what it is counted for, joins, or wakes.
                return await self._database.retried(lambda work: self._store(work, events))
            if flowing and awaited:
                # Before the rows of those that wait: see locking.py.
                await self._flow.lock(work, events)
            expected = await self._waits.expect(work, events) if awaited else None
            version = configuration.version
            if flowing:
                batch = Batch(self._placing.giving(), self._nonces)
                stored = await self._flow.store(work, events, version, self._plainly(work, version, now), batch)
                if stored is not None and costs:
                    # After the keys and the runs that make way: see locking.py.
                    crossings += await charge_sends(work, configuration, _owed(costs, paid))
                    await adjust_sends(work, configuration, costs, _new_runs(events, stored))
            else:
                if costs:
                    # Again with other settings: what has been counted meanwhile is.
                    crossings += await charge_sends(work, configuration, _owed(costs, paid))
                    paid = costs
                stored, batch = await self._store_plainly(work, events, version, now)
            batch.crossings = crossings
            if stored is not None:
                if expected is not None:
                    batch.made_ready += await self._waits.stored(work, expected, events, stored)
                return stored, batch
            await configuration.refresh(work)
        raise ProviderUnavailable(
            "the ledger's settings change faster than they are read: look for a process that restarts in a loop"
        )

    def _plainly(self, work: Work, version: int | None, now: int | None) -> StorePlain:
        async def store(events: Sequence[NewEvent], told: Batch) -> list[Stored] | None:
            stored, batch = await self._store_plainly(work, events, version, now)
            told.made_ready += batch.made_ready
            moments = [one for one in (told.first_due, batch.first_due) if one is not None]
            told.first_due = min(moments, default=None)
            return stored

        return store

    async def _store_plainly(
        self, work: Work, events: Sequence[NewEvent], version: int | None, now: int | None
    ) -> tuple[list[Stored] | None, Batch]:
        """Store events without flow control; ``None`` if the settings in memory are not the ledger's."""
        with self._placing.giving() as places:
            batch = self._batch(places, events, now)
            stored = await self._write(work, batch, version, now)
            if stored is None:
                places.unused()
            return stored, batch

    async def _see(self, work: Work, events: Sequence[NewEvent]) -> None:
        unseen = {event.tenant_id for event in events} - self._configuration.seen
        if not unseen:
            return
        if work is self._database:
            await self._configuration.see(unseen)
        else:
            # Never on another connection while this one holds locks: a small pooler may have no other.
            await self._configuration.see_in(work, unseen)

    def _batch(self, places: Places, events: Sequence[NewEvent], now: int | None) -> Batch:
        batch = Batch(places, self._nonces)
        configuration = self._configuration
        for event in events:
            batch.add(event, targets_of(configuration, event), configuration.hold_of(event.tenant_id), now)
        return batch

    async def _write(self, work: Work, batch: Batch, version: int | None, now: int | None) -> list[Stored] | None:
        if batch.has_runs and batch.has_unrouted and work is self._database:
            # Two statements: together or not at all.
            return await self._database.retried(lambda work: self._write(work, batch, version, now))
        lone = batch.lone_statement()
        if lone is not None:
            event_seq = await work.value(lone[0], version, now, *lone[1])
            return None if event_seq is None else batch.answers([event_seq], [event_seq + 1], ())
        bases: Sequence[int] = ()
        seqs: Sequence[int] = ()
        unrouted: Sequence[int] = ()
        if batch.has_runs:
            row = await work.row("insert_runs", version, now, *batch.run_parameters())
            if row is None or row["seqs"] is None:
                return None
            bases, seqs = row
        if batch.has_unrouted:
            alone = await work.value("insert_unrouted", version, now, *batch.unrouted_parameters())
            if alone is None:
                if batch.has_runs:
                    await self._configuration.refresh(work)
                    raise Outdated
                return None
            unrouted = alone
        return batch.answers(bases, seqs, unrouted)


def _owed(costs: Mapping[str, Cost], paid: Mapping[str, Cost]) -> dict[str, Cost]:
    return {tenant_id: cost.minus(paid.get(tenant_id, NOTHING)) for tenant_id, cost in costs.items()}


def _new_runs(events: Sequence[NewEvent], stored: Sequence[Stored]) -> Iterator[tuple[str, int]]:
    """Tenant and number of each run that was made for its event, and not for an earlier one that it joined."""
    for event, one in zip(events, stored, strict=True):
        for seq in one.run_seqs:
            if seq > one.event_seq and not one.duplicate:
                yield event.tenant_id, seq


async def _nothing_more(work: Work, stored: list[Stored]) -> None:
    """The insert is all there is to do."""
