"""Follows the ledger's word on who wakes runs: one relay to the active provider, an ear for each whose wake-ups may ring.

Which provider is active is a row in the ledger, looked at every few seconds, so that a running process follows a move from one
provider to another. While a move drains, the old provider's wake-ups still ring and are answered like any others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping

from cgk_jobs.clock import Clock
from cgk_jobs.engine.store import Store
from cgk_jobs.engine.wakeups import ActiveProvider
from cgk_jobs.engine.worker import Worker
from cgk_jobs.errors import JobsError
from cgk_jobs.providers.delivering import Delivering
from cgk_jobs.providers.provider import Answer, AsgiApp, BoundsCalls, Call, Drain, JobProvider, LearnsPlan, Plan
from cgk_jobs.providers.relay import Relay
from cgk_jobs.providers.tenant_names import TenantNames
from cgk_jobs.tasks.registry import TaskRegistry

__all__ = ["CLAIMING", "Hosting", "MakeProvider"]

_logger = logging.getLogger("cgk_jobs.providers")

CLAIMING = frozenset({"embedded", "postgres"})
"""The providers that are no more than workers which claim by themselves."""
LOOK_EVERY = 5.0
"""Seconds between looks at which provider is active."""

MakeProvider = Callable[[str], JobProvider]
"""A provider by its name, from the settings. Raises ``NotConfigured`` for one whose settings are missing."""


class Hosting:
    """The providers of one process, and the worker they wake. ``default``: who is active where nobody was said yet."""

    def __init__(
        self,
        store: Store,
        worker: Worker,
        tasks: TaskRegistry,
        clock: Clock,
        *,
        default: str,
        make: MakeProvider,
        names: TenantNames,
        lease: float,
        concurrency: int,
        drain: Drain,
        plan: Callable[[], Plan],
        on_call: bool = False,
    ) -> None:
        self._store = store
        self._worker = worker
        self._tasks = tasks
        self._clock = clock
        self._default = default
        self._make = make
        self._names = names
        self._concurrency = concurrency
        self._on_call = on_call
        self._drain = drain
        self._plan = plan
        self.delivering = Delivering(store, worker, tasks, names, lease)
        self.relay: Relay | None = None
        self.active = ActiveProvider(default)
        self._ears: dict[str, contextlib.AsyncExitStack] = {}
        self._providers: dict[str, JobProvider] = {}
        self._routes: dict[str, AsgiApp] | None = None
        self._loop: asyncio.Task[None] | None = None
        self._helping: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Ask the ledger who is active, and begin. Raises what making that provider raises."""
        self.active = await self._store.active_provider(self._default)
        if self.active.name != self._default:
            _logger.warning(
                "this process is set to the provider %s, and the ledger says %s: it follows the ledger. "
                "To move, run: cgk jobs migrate --to %s",
                self._default, self.active.name, self._default,
            )  # fmt: skip
        await self._apply(self.active)
        if self.active.name not in CLAIMING and not self._on_call:
            await self._sync(self.active.name)
        if not self._clock.manual:
            self._loop = asyncio.get_running_loop().create_task(self._follow(), name="cgk-jobs-provider")

    async def stop(self) -> None:
        """Ring for nobody any more: rings under way end first."""
        self.delivering.stopping = True
        for task in (self._loop, *self._helping):
            if task is not None:
                task.cancel()
        await asyncio.gather(
            *[task for task in (self._loop, *self._helping) if task is not None], return_exceptions=True
        )
        for name in tuple(self._ears):
            await self._silence(name)
        if self.relay is not None:
            await self.relay.stop(flush=self.relay.provider.capabilities.batch > 0)
        for provider in self._providers.values():
            await provider.close()
        self._providers.clear()

    async def flush(self) -> None:
        """Hand out what is to be handed out now, in a process that may be put to sleep right after; or have it rung for."""
        if self.relay is not None:
            await self.relay.flush()

    async def hand_out(self) -> None:
        """Hand out wake-ups, if the provider takes any."""
        if self.relay is not None and self.relay.provider.capabilities.batch:
            await self.relay.flush()

    def provider(self, name: str) -> JobProvider:
        """The provider of that name, made when first asked for."""
        found = self._providers.get(name)
        if found is None:
            found = self._providers[name] = self._make(name)
        return found

    def routes(self) -> Mapping[str, AsgiApp]:
        """What the active provider and those that drain are answered by, by path."""
        if self._routes is None:
            self._routes = {}
            for name in self._ears:
                self._routes |= self.provider(name).routes(self._deliver, self._drain)
        return self._routes

    async def _deliver(self, call: Call) -> Answer:
        answer = await self.delivering.deliver(call)
        if self._on_call:
            # The host may put this process to sleep with the answer: what the run led to is handed out before.
            try:
                await self.hand_out()
            except (JobsError, OSError) as error:
                _logger.error("wake-ups are left for the next call: %s", error)
        return answer

    async def look(self) -> None:
        """Follow the ledger's word now."""
        found = await self._store.active_provider(self._default)
        if found != self.active:
            await self._apply(found)
            if found.name not in CLAIMING and found.name != self.active.name and not self._on_call:
                await self._sync(found.name)
            _logger.warning("runs are woken by %s from now on%s", found.name, _draining(found))
            self.active = found

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.look()
            except (JobsError, OSError) as error:
                _logger.error("the active provider could not be followed: %s", error)
            except Exception:
                _logger.exception("the active provider could not be followed")

    async def _apply(self, active: ActiveProvider) -> None:
        wanted = {active.name, *active.draining}
        self._routes = None
        hosted = wanted - CLAIMING
        for name in sorted(hosted - self._ears.keys()):
            await self._listen(name)
        for name in self._ears.keys() - hosted:
            await self._silence(name)
        if self.relay is not None and self.relay.provider.name != active.name:
            relay, self.relay = self.relay, None
            await relay.stop(flush=False)
        if self.relay is None and active.name not in CLAIMING:
            provider = self.provider(active.name)
            self.relay = Relay(self._store, provider, self._tasks, self._names, self._clock, self._overdue)
            if provider.capabilities.batch:
                self.relay.start()
        # Side by side with a provider that only claims, everybody claims: the wake-ups then find less to do. Where there is but
        # a clock that rings, a process that is awake all the time doesn't wait for it.
        clock_alone = any(not self.provider(name).capabilities.batch for name in hosted)
        self._worker.claims_by_itself = bool(wanted & CLAIMING) or (clock_alone and not self._on_call)
        self._worker.wake()

    async def _sync(self, name: str) -> None:
        """Tell the provider of the application. It may be out of reach: what is told is the same at the next start."""
        try:
            self.routes()  # some providers are told of what they will be answered by
            for line in await self.provider(name).sync(self._plan()):
                _logger.info("%s: %s", name, line)
        except (JobsError, OSError) as error:
            _logger.error("%s was not told of this application: %s", name, error)
        except Exception:
            _logger.exception("%s was not told of this application", name)

    async def _listen(self, name: str) -> None:
        stack = contextlib.AsyncExitStack()
        provider = self.provider(name)
        if isinstance(provider, LearnsPlan):
            provider.learn(self._plan())
        if self._on_call and isinstance(provider, BoundsCalls):
            self._warn_of_long_tasks(provider.longest_call)
        loop = provider.work(self._deliver, self._drain, queues=self._worker.queues, concurrency=self._concurrency)
        if loop is not None:
            await stack.enter_async_context(loop)
        self._ears[name] = stack

    def _warn_of_long_tasks(self, longest: float) -> None:
        """What a call can't hold is put back when it ends, and can only go on behind the steps it has finished."""
        long = sorted(task.id for task in self._tasks if task.timeout > longest)
        if long:
            _logger.warning(
                "%d tasks may take longer than the %.0f s of a call on this host: %s%s. Give them a timeout= within it, cut them into "
                "steps, or let calls last longer",
                len(long), longest, ", ".join(long[:5]), ", …" if len(long) > 5 else "",
            )  # fmt: skip

    async def _silence(self, name: str) -> None:
        await self._ears.pop(name).aclose()

    # -- what did not ring -------------------------------------------------------------------------------------------

    def _overdue(self, late: Mapping[str, int]) -> None:
        """Claim as many runs as did not ring in time: whatever is wrong with the provider, the work goes on."""
        for queue, count in Counter(late).items():
            for _ in range(min(count, self._concurrency)):
                if not self._worker.has_room:
                    return
                task = asyncio.get_running_loop().create_task(self._help(queue), name="cgk-jobs-overdue")
                self._helping.add(task)
                task.add_done_callback(self._helping.discard)

    async def _help(self, queue: str) -> None:
        while await self._worker.claim_one(queue) is not None and self._worker.has_room:
            if self.relay is None or self.relay.failing_since is None:
                return
            # The provider does not answer: what is ready is worked off without it.


def _draining(active: ActiveProvider) -> str:
    return f"; {', '.join(active.draining)} drains" if active.draining else ""
