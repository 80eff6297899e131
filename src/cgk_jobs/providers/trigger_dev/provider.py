"""The provider ``trigger_dev``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, cast
from urllib.parse import urlsplit

from cgk_jobs.clock import Clock, SystemClock
from cgk_jobs.errors import JobsError, NotConfigured
from cgk_jobs.providers.calls import as_fields
from cgk_jobs.providers.capabilities import TRIGGER_DEV, Capabilities
from cgk_jobs.providers.making import ProviderContext
from cgk_jobs.providers.provider import AsgiApp, Deliver, Drain, Handed, Health, Plan, Receipt, Setup, Wakeup
from cgk_jobs.providers.trigger_dev.dispatch import CLOCK_PATH, PATH, dispatch, withdraw
from cgk_jobs.providers.trigger_dev.project import CLOCK_TASK
from cgk_jobs.providers.trigger_dev.receive import LongCalls, SignedCalls, clock_endpoint
from cgk_jobs.providers.trigger_dev.settings import SETUP, TriggerDevSettings, read_options, read_settings
from cgk_jobs.providers.trigger_dev.states import API_VERSION
from cgk_jobs.wire.http import HttpClient
from cgk_jobs.wire.pauses import pause_by
from cgk_jobs.wire.replays import Seen, SeenHere
from cgk_jobs.wire.request_signing import RequestSigner

__all__ = ["TriggerDevProvider", "create"]

MOST_PAGES = 20


class TriggerDevProvider:
    """Hands wake-ups to Trigger.dev, whose runs of the generated tasks call ``{public_url}/providers/trigger_dev`` when due.

    ``seen``: what remembers used nonces; processes that answer for one address must share it. ``answer_within``: seconds after
    which a call is answered 202 and its task waits for a token; below what the host lets a request last. ``drain_seconds``: how
    long a ring of the clock works things off. Raises ``ValueError`` for numbers that make no sense.
    """

    def __init__(
        self,
        settings: TriggerDevSettings,
        *,
        seen: Seen | None = None,
        clock: Clock | None = None,
        answer_within: float = 50.0,
        drain_seconds: float = 50.0,
    ) -> None:
        if answer_within <= 0 or drain_seconds <= 0:
            raise ValueError("answer_within and drain_seconds: seconds, above 0")
        self._settings, self._clock = settings, clock or SystemClock()
        self._seen = seen or SeenHere(self._clock)
        self._signer = RequestSigner(settings.signing_keys)
        self._drain_seconds = drain_seconds
        self._http = HttpClient(
            settings.url,
            service="Trigger.dev",
            extra="trigger_dev",
            credentials="TRIGGER_SECRET_KEY and TRIGGER_API_URL",
            headers={"Authorization": f"Bearer {settings.secret_key}", "x-trigger-api-version": API_VERSION},
            # Of batches in seconds; of everything else without Retry-After, and in milliseconds.
            pause=pause_by("retry-after", "x-ratelimit-reset"),
            clock=self._clock,
        )
        self._long = LongCalls(self._http, answer_within)

    @classmethod
    def from_settings(cls, values: Mapping[str, str], *, signing_keys: Sequence[bytes] = (), **options: Any) -> Self:
        """From the environment: ``TRIGGER_SECRET_KEY``, ``TRIGGER_API_URL``, ``TRIGGER_PROJECT_REF``, ``JOBS_PUBLIC_URL`` and
        ``JOBS_SIGNING_KEY`` (unless ``signing_keys`` are given); and the options in ``JOBS_TRIGGER_…``. ``options`` win.

        Raises ``NotConfigured`` naming what is missing or has not the form of such a value.
        """
        return cls(read_settings(values, signing_keys), **{**read_options(values), **options})

    def __repr__(self) -> str:
        return f"TriggerDevProvider({self._settings.url} -> {self._settings.public_url})"

    @property
    def name(self) -> str:
        return "trigger_dev"

    @property
    def capabilities(self) -> Capabilities:
        return TRIGGER_DEV

    async def dispatch(self, wakeups: Sequence[Wakeup]) -> list[Receipt]:
        return await dispatch(self._http, self._clock, wakeups)

    async def withdraw(self, handed: Sequence[Handed]) -> list[bool]:
        return await withdraw(self._http, handed)

    async def sync(self, plan: Plan) -> list[str]:
        """Nothing is told: tasks, queues and the clock are in the generated project, and change when it is deployed."""
        if plan.public_url is not None and plan.public_url.rstrip("/") != self._settings.public_url:
            raise NotConfigured(
                "the application and its Trigger.dev provider were given two public addresses: set JOBS_PUBLIC_URL"
            )
        return []

    async def health(self) -> Health:
        try:
            trouble = self._trouble_of(as_fields((await self._http.call("GET", "/api/v1/whoami")).json))
            if trouble:
                return Health(False, trouble)
            warnings = [await self._clock_trouble()]
        except JobsError as error:
            return Health(False, str(error))
        if self._settings.environment == "DEVELOPMENT":
            warnings.append(
                "the key is that of a development environment, where runs wait until somebody runs trigger dev"
            )
        return Health(True, warnings=tuple(warning for warning in warnings if warning))

    def _trouble_of(self, environment: Mapping[str, object]) -> str:
        kind, project = environment.get("type"), as_fields(environment.get("project"))
        if not isinstance(kind, str):
            return "Trigger.dev answered the question whose key this is with something unknown"
        if kind != self._settings.environment:
            return "Trigger.dev says that TRIGGER_SECRET_KEY is another environment's than it looks: copy it again"
        ref = project.get("externalRef")
        if self._settings.project is not None and isinstance(ref, str) and ref != self._settings.project:
            return "TRIGGER_SECRET_KEY is a key of another project than TRIGGER_PROJECT_REF"
        return ""

    async def _clock_trouble(self) -> str:
        """What is wrong with the clock, empty if nothing is."""
        for page in range(1, MOST_PAGES + 1):
            query = [("page", str(page)), ("perPage", "100")]
            fields = as_fields((await self._http.call("GET", "/api/v1/schedules", query=query)).json)
            listed, total = fields.get("data"), as_fields(fields.get("pagination")).get("totalPages")
            if not isinstance(listed, list) or not isinstance(total, int):
                return "Trigger.dev answered the list of schedules with something unknown"
            entries = [as_fields(one) for one in cast("list[object]", listed)]
            clocks = [entry for entry in entries if entry.get("task") == CLOCK_TASK]
            if any(entry.get("active") is True for entry in clocks):
                return ""
            if clocks:
                return "the clock of this application is switched off at Trigger.dev: activate its schedule there"
            if page >= total:
                break
        return (
            "Trigger.dev has no clock for this application: schedules and overdue runs wait; run cgk jobs trigger-dev generate "
            "and deploy the project"
        )

    def work(self, deliver: Deliver, drain: Drain, *, queues: Sequence[str], concurrency: int) -> None:
        """None: Trigger.dev's tasks call from outside."""

    def routes(self, deliver: Deliver, drain: Drain) -> Mapping[str, AsgiApp]:
        base = urlsplit(self._settings.public_url).path
        handlers = {
            PATH: self._long.endpoint(deliver),
            CLOCK_PATH: clock_endpoint(drain, self._drain_seconds),
        }
        return {
            path: SignedCalls(base + path, self._signer, self._seen, self._clock, handle)
            for path, handle in handlers.items()
        }

    def setup(self) -> Setup:
        return SETUP

    async def close(self) -> None:
        await self._long.close()
        await self._http.close()


def create(context: ProviderContext) -> TriggerDevProvider:
    """The provider of an application. Raises ``NotConfigured`` as ``TriggerDevProvider.from_settings`` does."""
    values = {**context.values, **({"JOBS_PUBLIC_URL": context.public_url} if context.public_url else {})}
    return TriggerDevProvider.from_settings(
        values, signing_keys=context.signing_keys, seen=context.seen, clock=context.clock
    )
