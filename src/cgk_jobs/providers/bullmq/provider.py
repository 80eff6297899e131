"""The provider ``bullmq``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import groupby
from typing import Any

from cgk_jobs.clock import Clock
from cgk_jobs.errors import JobsError
from cgk_jobs.providers.bullmq.connections import Connections
from cgk_jobs.providers.bullmq.server import check_server
from cgk_jobs.providers.bullmq.settings import SETUP, RedisSettings, read_settings
from cgk_jobs.providers.bullmq.working import CLOCK, working
from cgk_jobs.providers.capabilities import BULLMQ, Capabilities
from cgk_jobs.providers.foreign import ForeignSource, Receive
from cgk_jobs.providers.making import ProviderContext
from cgk_jobs.providers.provider import AsgiApp, Deliver, Drain, Handed, Health, Plan, Receipt, Setup, Wakeup

__all__ = ["BullmqProvider", "create"]

HIGHEST = 101
"""BullMQ's priorities begin at 1, which is first; 0 would be before all of them."""
TRIES = 20
"""How often BullMQ rings again while the ledger can't be reached: half an hour, by the backoff below."""
BACKOFF_MS = 1_000


class BullmqProvider:
    """Adds a job for each wake-up to the BullMQ queue of the wake-up's own queue, and works it off in this process."""

    def __init__(self, settings: RedisSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._connections = Connections(settings)
        self._sources: Mapping[str, ForeignSource] = {}
        self._receive: Receive | None = None

    def __repr__(self) -> str:
        return f"BullmqProvider({self._settings.shown})"

    @property
    def name(self) -> str:
        """As in ``JOBS_PROVIDER``."""
        return "bullmq"

    @property
    def capabilities(self) -> Capabilities:
        """What it delivers natively."""
        return BULLMQ

    async def dispatch(self, wakeups: Sequence[Wakeup]) -> list[Receipt]:
        """Add jobs, those of a queue in one transaction of Redis. A wake-up that is there already is not added again."""
        now = self._clock.micros()
        ordered = sorted(wakeups, key=lambda wakeup: wakeup.queue)
        receipts: dict[str, Receipt] = {}
        for queue, group in groupby(ordered, key=lambda wakeup: wakeup.queue):
            jobs = [_job(wakeup, now) for wakeup in group]
            added = await self._connections.ask(self._connections.queue(queue).addBulk(jobs))
            receipts |= {str(job.id): Receipt(str(job.id), str(job.id)) for job in added}
        return [receipts[wakeup.id] for wakeup in wakeups if wakeup.id in receipts]

    async def withdraw(self, handed: Sequence[Handed]) -> list[bool]:
        """Remove jobs. One that is being worked off stays: it finds nothing to claim."""
        answers: list[bool] = []
        for one in handed:
            queue = self._connections.queue(one.queue)
            answers.append(bool(await self._connections.ask(queue.backend.remove(one.wakeup_id, True))))
        return answers

    async def sync(self, plan: Plan) -> list[str]:
        """Set the clock that rings now and then, so that schedules fire and lost wake-ups are found."""
        queue = self._connections.queue(CLOCK)
        every = {"every": round(plan.ring_every * 1_000)}
        # The library's own question for one scheduler fails where there is none, so that is asked first.
        if await self._connections.ask(queue.backend.isJobScheduler(CLOCK)):
            found = await self._connections.ask(queue.getJobScheduler(CLOCK))
            if str(_field(found, "every")) == str(every["every"]):
                return []
        await self._connections.ask(
            queue.upsertJobScheduler(CLOCK, every, CLOCK, {}, {"removeOnComplete": True, "removeOnFail": True})
        )
        return [f"a clock in the queue {self._settings.queue_name(CLOCK)} rings every {plan.ring_every:g} s"]

    async def health(self) -> Health:
        """Ask Redis."""
        try:
            return Health(True, warnings=await self._check())
        except JobsError as error:
            return Health(False, str(error))

    async def _check(self) -> tuple[str, ...]:
        return await self._connections.ask(check_server(self._connections.client, self._settings.shown))

    def bring(self, sources: Mapping[str, ForeignSource], receive: Receive) -> None:
        """Pass jobs that other programs add to these queues on to the ledger, as events."""
        self._sources, self._receive = sources, receive

    def work(
        self, deliver: Deliver, drain: Drain, *, queues: Sequence[str], concurrency: int
    ) -> AbstractAsyncContextManager[None]:
        """BullMQ workers for these queues, for the clock, and for the queues of foreign events."""
        return working(
            self._settings,
            self._check,
            self._connections.queue,
            deliver,
            drain,
            queues,
            concurrency,
            self._sources,
            self._receive,
        )

    def routes(self, deliver: Deliver, drain: Drain) -> Mapping[str, AsgiApp]:
        """None: nobody calls from outside."""
        return {}

    def setup(self) -> Setup:
        """What a person does before it works."""
        return SETUP

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close()


def create(context: ProviderContext) -> BullmqProvider:
    """From the settings. Raises ``NotConfigured``."""
    return BullmqProvider(read_settings(context), context.clock)


def _job(wakeup: Wakeup, now: int) -> dict[str, Any]:
    data: dict[str, Any] = {
        "tenant": wakeup.tenant_key,
        "run": wakeup.run_id,
        "task": wakeup.task,
        "queue": wakeup.queue,
    }
    if wakeup.payload is not None:
        data["payload"] = wakeup.payload
    options: dict[str, Any] = {
        "jobId": wakeup.id,
        "priority": HIGHEST - wakeup.priority,
        "attempts": TRIES,
        "backoff": {"type": "exponential", "delay": BACKOFF_MS},
        "removeOnComplete": True,
        "removeOnFail": True,
    }
    delay = (wakeup.due_at - now) // 1_000
    if delay > 0:
        # Rounded up: a ring before its time finds nothing.
        options["delay"] = delay + 1
    return {"name": wakeup.task, "data": data, "opts": options}


def _field(found: Any, name: str) -> Any:
    return found.get(name) if isinstance(found, dict) else getattr(found, name, None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
