"""The functions Inngest calls, made of the plan: one for each queue or task, the clock, and those of events from elsewhere.

A plan of the vendor limits the functions of an app, so they are split over as many apps as that takes, each with an endpoint.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from cgk_jobs.errors import InvalidEvent, JobsError, NotConfigured, ProviderUnavailable
from cgk_jobs.providers.calls import call_in, wait_of
from cgk_jobs.providers.foreign import Brought, ForeignSource, Receive
from cgk_jobs.providers.inngest.dispatch import withdrawal_event
from cgk_jobs.providers.inngest.settings import InngestSettings
from cgk_jobs.providers.provider import Deliver, Drain, Plan, Wakeup

if TYPE_CHECKING:
    import inngest

__all__ = ["App", "FunctionOptions", "make_apps", "name_of"]

T = TypeVar("T")
_logger = logging.getLogger("cgk_jobs.providers.inngest")

SLOW_CLOCK = "TZ=UTC */5 * * * *"
"""The clock where each schedule has a ring of its own: the relay and the overdue sweep need one, too."""
MOST_TRIGGERS = 10
"""Of one function, at the vendor."""


@dataclass(frozen=True, slots=True)
class FunctionOptions:
    """``concurrency``: calls of a function at a time; ``tenant_concurrency``: of each tenant; ``None``: no limit but the plan's.

    ``function_each``: a function for each task, else for each queue. ``schedule_each``: a cron for each schedule, else one clock.
    """

    concurrency: int | None = None
    tenant_concurrency: int | None = None
    functions_per_app: int = 100
    function_each: bool = False
    schedule_each: bool = False
    drain_seconds: float = 50.0
    retries: int = 10


@dataclass(frozen=True, slots=True)
class App:
    """One app at the vendor and its functions."""

    client: inngest.Inngest
    functions: list[inngest.Function[Any]]

    async def close(self) -> None:
        """Close the connections of the vendor's package, which has no way of its own."""
        http = self.client._http_client  # pyright: ignore[reportPrivateUsage]
        await http._http_client.aclose()  # pyright: ignore[reportPrivateUsage]
        http._http_client_sync.close()  # pyright: ignore[reportPrivateUsage]
        # The sockets go in the loop's next turn, of which there may be none if this is its last task.
        await asyncio.sleep(0)


def name_of(app: str, *, each: bool) -> Callable[[Wakeup], str]:
    """The name of a wake-up's event, by which its function is started."""
    return lambda wakeup: f"cgk/{app}/task/{wakeup.task}" if each else f"cgk/{app}/queue/{wakeup.queue}"


def make_apps(
    settings: InngestSettings,
    plan: Plan,
    options: FunctionOptions,
    deliver: Deliver,
    drain: Drain,
    sources: Mapping[str, ForeignSource],
    receive: Receive | None,
) -> list[App]:
    """The apps of an application. Raises ``NotConfigured`` where the vendor's package is missing."""
    try:
        import inngest
    except ImportError as error:
        raise NotConfigured("Inngest needs its package: pip install 'cgk-jobs[inngest]'") from error
    whole = [
        *_waking(plan, options, deliver),
        *_clocks(plan, options, drain),
        *[_bringing(source, receive) for _, source in sorted(sources.items()) if receive is not None],
    ]
    apps: list[App] = []
    for number, start in enumerate(range(0, len(whole), options.functions_per_app), 1):
        client = inngest.Inngest(
            app_id=f"cgk-{plan.app}" if number == 1 else f"cgk-{plan.app}-{number}",
            api_base_url=settings.api,
            event_api_base_url=settings.events,
            event_key=settings.event_key,
            signing_key=settings.signing_key,
            env=settings.environment,
            is_production=not settings.dev,
            logger=_logger,
        )
        # The vendor's package reads it from the process's environment alone, where settings need not be.
        client._signing_key_fallback = settings.fallback  # pyright: ignore[reportPrivateUsage]
        made = [make(client) for make in whole[start : start + options.functions_per_app]]
        apps.append(App(client, made))
    return apps


_Maker = Callable[["inngest.Inngest"], "inngest.Function[Any]"]


def _waking(plan: Plan, options: FunctionOptions, deliver: Deliver) -> list[_Maker]:
    if options.function_each:
        names = {f"task-{task.id}": f"cgk/{plan.app}/task/{task.id}" for task in plan.tasks}
    else:
        names = {f"queue-{queue}": f"cgk/{plan.app}/queue/{queue}" for queue in {task.queue for task in plan.tasks}}
    return [_waker(id, event, plan.app, options, deliver) for id, event in sorted(names.items())]


def _waker(id: str, event: str, app: str, options: FunctionOptions, deliver: Deliver) -> _Maker:
    def make(client: inngest.Inngest) -> inngest.Function[Any]:
        import inngest

        limits = [
            inngest.Concurrency(limit=limit, key=key)
            for limit, key in ((options.tenant_concurrency, "event.data.tenant"), (options.concurrency, None))
            if limit is not None
        ]

        @client.create_function(
            fn_id=id,
            trigger=inngest.TriggerEvent(event=event),
            # Of calls that don't reach the application. A task's own retries are the ledger's.
            retries=options.retries,
            concurrency=limits or None,
            priority=inngest.Priority(run="event.data.priority"),
            cancel=[inngest.Cancel(event=withdrawal_event(app), if_exp="event.data.wakeup == async.data.wakeup")],
        )
        async def wake(ctx: inngest.Context) -> dict[str, str]:
            call = call_in(dict(ctx.event.data), None)
            if call is None:
                raise inngest.NonRetriableError("no wake-up of this application", quiet=True)
            answer = await _reached(deliver(call))
            if answer.kind == "busy":
                raise inngest.RetryAfterError(
                    "the run is busy", timedelta(seconds=wait_of(answer.retry_after)), quiet=True
                )
            if answer.kind == "refused":
                raise inngest.NonRetriableError("the application refused the wake-up", quiet=True)
            return {"kind": answer.kind}

        return wake

    return make


def _clocks(plan: Plan, options: FunctionOptions, drain: Drain) -> list[_Maker]:
    patterns = ["TZ=UTC * * * * *"]
    if options.schedule_each:
        patterns = [SLOW_CLOCK, *sorted({f"TZ={tick.timezone} {tick.expression}" for tick in plan.ticks})]
    parts = [patterns[start : start + MOST_TRIGGERS] for start in range(0, len(patterns), MOST_TRIGGERS)]
    return [_clock("clock" if at == 0 else f"clock-{at + 1}", part, options, drain) for at, part in enumerate(parts)]


def _clock(id: str, patterns: Sequence[str], options: FunctionOptions, drain: Drain) -> _Maker:
    def make(client: inngest.Inngest) -> inngest.Function[Any]:
        import inngest

        triggers: list[inngest.TriggerCron | inngest.TriggerEvent] = [
            inngest.TriggerCron(cron=pattern) for pattern in patterns
        ]

        # The next ring does what a lost one would have done, so it is not tried again.
        @client.create_function(fn_id=id, trigger=triggers, retries=0, concurrency=[inngest.Concurrency(limit=1)])
        async def ring(ctx: inngest.Context) -> dict[str, int]:
            return dict(await _reached(drain(options.drain_seconds)))

        return ring

    return make


def _bringing(source: ForeignSource, receive: Receive) -> _Maker:
    def make(client: inngest.Inngest) -> inngest.Function[Any]:
        import inngest

        @client.create_function(
            fn_id="from-" + source.place.replace("/", "-"), trigger=inngest.TriggerEvent(event=source.place)
        )
        async def bring(ctx: inngest.Context) -> dict[str, str]:
            data: dict[str, Any] = dict(ctx.event.data)
            # One event of ours for the vendor's; where several may come, the data says which.
            name = next(iter(source.events)) if len(source.events) == 1 else str(data.pop("event", ctx.event.name))
            try:
                return {"event": await receive(Brought(source, name, data, str(ctx.event.id)))}
            except ProviderUnavailable as error:
                raise _come_again(error) from None
            except (InvalidEvent, JobsError) as error:
                # It stays at Inngest as a failed run, with this reason, until somebody has looked at it.
                raise inngest.NonRetriableError(str(error), quiet=True) from None

        return bring

    return make


async def _reached(work: Awaitable[T]) -> T:
    """What the ledger answers; where it can't be reached, the vendor is asked to come again."""
    try:
        return await work
    except ProviderUnavailable as error:
        raise _come_again(error) from None


def _come_again(error: ProviderUnavailable) -> Exception:
    import inngest

    return inngest.RetryAfterError(
        "the ledger can't be reached", timedelta(seconds=wait_of(error.retry_after)), quiet=True
    )
