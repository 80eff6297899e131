"""The relay: hands the wake-ups of runs to the provider, repeats what was not acknowledged, takes back what is not needed.

A run is committed with nothing but itself; the relay finds it by having no wake-up. So whatever dies between a commit and
the provider's acknowledgement, the next relay that looks hands the wake-up out (the pattern is called transactional outbox).
Every started process has one; that two hand out the same wake-up is prevented by the ledger, and would be harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence

from cgk_jobs.clock import Clock, monotonic
from cgk_jobs.engine.store import Store
from cgk_jobs.engine.wakeups import Demand, WakeupRecord
from cgk_jobs.errors import JobsError, NotConfigured, ProviderUnavailable
from cgk_jobs.providers.provider import Handed, JobProvider, RingsAtOnce, Wakeup
from cgk_jobs.providers.tenant_names import TenantNames
from cgk_jobs.tasks.registry import TaskRegistry
from cgk_jobs.wire.ids import to_id

__all__ = ["Relay"]

_logger = logging.getLogger("cgk_jobs.providers")

LOOK_EVERY = 1.0
"""Seconds between looks at the ledger without a hint: other processes' runs, and those whose provider lost them."""
WITHDRAW_EVERY = 2.0
"""Seconds between looks for wake-ups that are not needed any more."""
LONGEST_PAUSE = 5.0
"""Seconds until a provider that can't be reached is tried again, at most."""
PER_QUEUE = 1_000
OVERDUE_AFTER = 30.0
"""Seconds after which a wake-up that was due and has not rung is given up."""
HORIZON = 365 * 86_400.0
"""Seconds ahead up to which a provider without a limit of its own is handed wake-ups."""


class Relay:
    """The relay of one process to one provider. ``overdue`` is called with wake-ups by queue that did not ring in time."""

    def __init__(
        self,
        store: Store,
        provider: JobProvider,
        tasks: TaskRegistry,
        names: TenantNames,
        clock: Clock,
        overdue: Callable[[Counter[str]], None],
    ) -> None:
        self.provider = provider
        self._store = store
        self._tasks = tasks
        self._names = names
        self._clock = clock
        self._overdue = overdue
        self._hint = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._silence: Callable[[], None] | None = None
        self._busy = asyncio.Lock()
        self._withdrawn_at = 0.0
        self.failing_since: float | None = None
        """When the provider last stopped answering (monotonic seconds)."""
        self.last_error = ""

    def start(self) -> None:
        """Begin to look, on the running loop."""
        self._silence = self._store.listen(self)
        self._loop = asyncio.get_running_loop().create_task(self._run(), name="cgk-jobs-relay")
        self._hint.set()

    async def stop(self, *, flush: bool = True) -> None:
        """Hand out what was committed by now, if the provider answers, and end."""
        if self._silence is not None:
            self._silence()
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        if not flush:
            return
        try:
            await self.flush()
        except (JobsError, OSError) as error:
            _logger.warning("wake-ups are left for the next process's relay: %s", error)

    # -- hints from the store ----------------------------------------------------------------------------------------

    def ready(self) -> bool:
        """Runs may be ready, or due earlier than thought."""
        self._hint.set()
        # The provider will wake whoever is to claim them; doorbells of other processes need not ring.
        return True

    def finished(self, seqs: Sequence[int]) -> None:
        """Runs ended: their wake-ups, if they have any left, are taken back in time."""

    # -- the loop ----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        pause = 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                # Not wait_for: in Python 3.11 it loses a cancellation that comes together with the hint, and with it our end.
                async with asyncio.timeout(LOOK_EVERY):
                    await self._hint.wait()
            self._hint.clear()
            try:
                await self.flush()
                await self._withdraw_if_due()
                self._report_silence()
                pause = 0.0
            except (JobsError, OSError) as error:
                if self.last_error != str(error):
                    _logger.error("%s: wake-ups were not handed over: %s", self.provider.name, error)
                self.last_error = str(error)
                self._report_silence()
                pause = min(max(2 * pause, 0.25), LONGEST_PAUSE)
                await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - spreads, hides nothing
            except Exception as error:
                # A provider of somebody else's, or an answer nobody foresaw: the relay must outlive it.
                _logger.exception("%s: wake-ups were not handed over", self.provider.name)
                self.last_error = str(error)
                await asyncio.sleep(LONGEST_PAUSE)

    async def flush(self) -> int:
        """Hand out every wake-up there is to be handed out now; returns how many were acknowledged.

        One that takes no wake-ups is asked to ring instead. Raises ``ProviderUnavailable`` where provider or ledger can't be
        reached; what is left is handed out later.
        """
        if not self.provider.capabilities.batch:
            if isinstance(self.provider, RingsAtOnce):
                await self.provider.ring()
            return 0
        async with self._busy:
            total = 0
            most = self.provider.capabilities.batch
            while True:
                records = await self._store.issue_wakeups(self._demand(most))
                if records:
                    self._report_overdue(records)
                    total += await self._hand_over(records)
                if len(records) < most:
                    return total

    def _demand(self, most: int) -> Demand:
        capabilities = self.provider.capabilities
        reach = HORIZON if capabilities.longest_delay is None else capabilities.longest_delay
        shared = frozenset(task.id for task in self._tasks if task.share_payload)
        ahead = round(reach * 1e6) if capabilities.delay else 0
        return Demand(
            self.provider.name,
            ahead,
            per_queue=PER_QUEUE,
            most=most,
            overdue_after=round(OVERDUE_AFTER * 1e6),
            with_payload=shared,
        )

    async def _hand_over(self, records: Sequence[WakeupRecord]) -> int:
        try:
            receipts = await self.provider.dispatch([self._wakeup(record) for record in records])
        except (ProviderUnavailable, NotConfigured, OSError):
            if self.failing_since is None:
                self.failing_since = monotonic()
            raise
        self.failing_since = None
        self.last_error = ""
        known = {record.id for record in records}
        answered = [receipt for receipt in receipts if receipt.wakeup_id in known]
        for receipt in answered:
            if receipt.refused is not None:
                _logger.error("%s refused the wake-up %s: %s", self.provider.name, receipt.wakeup_id, receipt.refused)
        await self._store.acknowledge_wakeups(
            self.provider.name, [(receipt.wakeup_id, receipt.reference, receipt.refused) for receipt in answered]
        )
        return sum(receipt.refused is None for receipt in answered)

    def _wakeup(self, record: WakeupRecord) -> Wakeup:
        return Wakeup(
            record.id,
            record.queue,
            self._names.key_of(record.tenant_id),
            to_id(record.run_seq, record.run_nonce),
            record.task,
            record.due_at,
            record.lane,
            record.payload,
        )

    def _report_overdue(self, records: Sequence[WakeupRecord]) -> None:
        late = Counter(record.queue for record in records if record.again)
        if late:
            _logger.warning("%s: %d wake-ups did not ring in time", self.provider.name, sum(late.values()))
            self._overdue(late)

    def _report_silence(self) -> None:
        if self.failing_since is not None and monotonic() - self.failing_since >= OVERDUE_AFTER:
            self._overdue(Counter({task.queue for task in self._tasks}))

    # -- taking back -------------------------------------------------------------------------------------------------

    async def _withdraw_if_due(self) -> None:
        if monotonic() - self._withdrawn_at >= WITHDRAW_EVERY:
            self._withdrawn_at = monotonic()
            await self.withdraw_obsolete()

    async def withdraw_obsolete(self) -> int:
        """Take back wake-ups that are not needed any more; returns how many are gone."""
        gone = 0
        most = max(self.provider.capabilities.batch, 1)
        while True:
            records = await self._store.obsolete_wakeups(self.provider.name, most)
            if not records:
                return gone
            answers = await self.provider.withdraw([Handed(one.id, one.queue, one.reference) for one in records])
            # One that could not be taken back rings once more and finds nothing: there is no use in remembering it.
            gone += sum(answers)
            await self._store.drop_wakeups([record.id for record in records])
            if len(records) < most:
                return gone
