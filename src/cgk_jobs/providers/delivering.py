"""What a ring leads to: the wake-up is taken, a run of its queue claimed, executed and settled, and the caller answered."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from cgk_jobs.clock import monotonic
from cgk_jobs.engine.records import RunRecord
from cgk_jobs.engine.states import FINAL
from cgk_jobs.engine.store import Store
from cgk_jobs.engine.wakeups import WakeupRecord
from cgk_jobs.engine.worker import Worker
from cgk_jobs.providers.provider import Answer, Call
from cgk_jobs.providers.tenant_names import TenantNames
from cgk_jobs.tasks.registry import TaskRegistry
from cgk_jobs.wire.ids import parse_id, to_id

__all__ = ["Delivering"]

FULL = Answer("busy", "every slot of this process is taken", retry_after=1.0)
STOPPING = Answer("busy", "this process is stopping", retry_after=1.0)


@dataclass
class _Batch:
    """Rings that came in while the ledger was asked about others."""

    ids: list[str] = field(default_factory=list[str])
    answer: asyncio.Future[dict[str, WakeupRecord]] | None = None


class Delivering:
    """Answers the rings of providers in one process. ``lease``: seconds after which a dead worker's run is another's."""

    def __init__(self, store: Store, worker: Worker, tasks: TaskRegistry, names: TenantNames, lease: float) -> None:
        self._store = store
        self._worker = worker
        self._tasks = tasks
        self._names = names
        self._lease = lease
        self._next = _Batch()
        self._taking: asyncio.Task[None] | None = None
        self._under_way = 0
        self.stopping = False

    @property
    def idle(self) -> bool:
        """No ring is being answered."""
        return self._under_way == 0

    async def deliver(self, call: Call) -> Answer:
        """Answer one ring. Raises ``ProviderUnavailable`` where the ledger can't be reached."""
        begun = monotonic()
        async with self._counted():
            answer = await self._deliver(call)
        return answer._replace(seconds=monotonic() - begun)

    @contextlib.asynccontextmanager
    async def _counted(self) -> AsyncGenerator[None, None]:
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def _deliver(self, call: Call) -> Answer:
        if self.stopping:
            return STOPPING
        if self._worker.claims_by_itself:
            # Side by side with workers that claim by themselves: the run is claimed by one of those.
            taken = await self._take(call.wakeup_id)
            self._worker.wake()
            return Answer("nothing", "workers claim by themselves" if taken else "rang before")
        if not self._worker.has_room:
            return FULL
        record = await self._take(call.wakeup_id)
        if record is None:
            return await self._unknown(call)
        if not await self._belongs(call, record):
            # It is signed, so the caller mixed something up: the run gets another wake-up, this call nothing.
            return Answer("refused", "wake-up, run, task, queue and tenant do not belong together")
        ended = await self._worker.claim_one(record.queue)
        if ended is None:
            if self.stopping:
                return STOPPING
            return await self._nothing(record)
        if ended.run != (record.tenant_id, record.run_seq):
            await self._store.pass_on_wakeups([(record, ended.run.tenant_id, ended.run.seq)])
        return Answer("settled", outcome=ended.state or "lost")

    async def _belongs(self, call: Call, record: WakeupRecord) -> bool:
        """Whether what the caller says of itself is true, and this the wake-up it was given."""
        if self._is(call, record.tenant_id, record.task, record.queue, to_id(record.run_seq, record.run_nonce)):
            return True
        # A ring that claimed another run than its own has passed that one's wake-up on, within the queue: it was handed over
        # for the run the caller names, and is now another one's.
        parsed = parse_id(call.run_id)
        named = None if parsed is None else await self._store.reads.run(None, *parsed)
        if named is None or record.queue != call.queue:
            return False
        return self._is(call, named.tenant_id, named.task, named.queue, to_id(named.seq, named.nonce))

    def _is(self, call: Call, tenant_id: str, task: str, queue: str, run_id: str) -> bool:
        same_tenant = hmac.compare_digest(call.tenant_key, self._names.key_of(tenant_id))
        return same_tenant and (call.run_id, call.task, call.queue) == (run_id, task, queue)

    async def _unknown(self, call: Call) -> Answer:
        """It rang before, was replaced, or never was: what the caller may know is whether it should ring again."""
        parsed = parse_id(call.run_id)
        found = None if parsed is None else await self._store.reads.run(None, *parsed)
        if found is None or not hmac.compare_digest(call.tenant_key, self._names.key_of(found.tenant_id)):
            return Answer("refused", "no such run")
        return self._of(found, "rang before")

    async def _nothing(self, record: WakeupRecord) -> Answer:
        if record.queue not in {task.queue for task in self._tasks}:
            return Answer("refused", f"no task of this application uses the queue {record.queue}")
        found = await self._store.reads.run(record.tenant_id, record.run_seq, record.run_nonce)
        if found is None:
            return Answer("nothing", "the run was deleted")
        return self._of(found, "nothing to claim")

    def _of(self, run: RunRecord, otherwise: str) -> Answer:
        if run.state in FINAL:
            return Answer("nothing", f"the run is {run.state}")
        if run.state == "running":
            return Answer("busy", "a worker holds the run", retry_after=self._lease)
        if run.held_by is not None:
            return Answer("nothing", "the run is parked")
        return Answer("nothing", otherwise)

    # Rings that come together share one statement: a worker that rings a thousand times a second would otherwise wait for
    # as many commits.

    async def _take(self, wakeup_id: str) -> WakeupRecord | None:
        batch = self._next
        batch.ids.append(wakeup_id)
        if batch.answer is None:
            batch.answer = asyncio.get_running_loop().create_future()
        if self._taking is None or self._taking.done():
            # A task of its own: the connection of whoever came first may break.
            self._taking = asyncio.get_running_loop().create_task(self._take_all(), name="cgk-jobs-rings")
        return (await asyncio.shield(batch.answer)).get(wakeup_id)

    async def _take_all(self) -> None:
        while self._next.answer is not None:
            batch, self._next = self._next, _Batch()
            answer = batch.answer
            if answer is None:
                return
            try:
                answer.set_result(await self._store.take_wakeups(batch.ids))
            except Exception as error:
                answer.set_exception(error)
                answer.exception()  # each ring raises it; nobody else need be told that it was not looked at
