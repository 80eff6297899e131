"""The provider ``inngest``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Self

from cgk_jobs.clock import Clock, SystemClock
from cgk_jobs.errors import JobsError, NotConfigured, ProviderUnavailable
from cgk_jobs.providers.calls import fields_of
from cgk_jobs.providers.capabilities import INNGEST, Capabilities
from cgk_jobs.providers.foreign import ForeignSource, Receive
from cgk_jobs.providers.inngest.connecting import connected
from cgk_jobs.providers.inngest.dispatch import dispatch, withdraw
from cgk_jobs.providers.inngest.functions import App, FunctionOptions, make_apps, name_of
from cgk_jobs.providers.inngest.receive import Guarded, serve, sign
from cgk_jobs.providers.inngest.settings import SETUP, InngestSettings, read_options, read_settings
from cgk_jobs.providers.making import ProviderContext
from cgk_jobs.providers.provider import (
    AsgiApp,
    Deliver,
    Drain,
    Handed,
    Health,
    Plan,
    Receipt,
    Setup,
    Wakeup,
)
from cgk_jobs.wire.http import HttpClient
from cgk_jobs.wire.pauses import pause_by
from cgk_jobs.wire.replays import Seen, SeenHere

__all__ = ["PATH", "InngestProvider", "create"]

_logger = logging.getLogger("cgk_jobs.providers.inngest")

PATH = "/providers/inngest"


class InngestProvider:
    """Hands wake-ups to Inngest as events, whose functions call ``{public_url}/providers/inngest`` when due.

    ``seen``: what remembers used signatures; processes that answer for one address must share it. ``connect``: be called over a
    connection from here, in place of that address. Other options: those of ``FunctionOptions``. Raises ``ValueError`` for numbers
    that make no sense.
    """

    def __init__(
        self,
        settings: InngestSettings,
        *,
        app: str = "default",
        seen: Seen | None = None,
        clock: Clock | None = None,
        connect: bool = False,
        **options: Any,
    ) -> None:
        self._settings, self._clock = settings, clock or SystemClock()
        self._app = app.replace(":", ".")
        self._seen = seen or SeenHere(self._clock)
        self._connect = connect
        self._options = FunctionOptions(**options)
        if not 1 <= self._options.functions_per_app <= 500 or not 0 <= self._options.retries <= 20:
            raise ValueError("functions_per_app: 1 to 500; retries: 0 to 20")
        if self._options.drain_seconds <= 0 or 0 in (self._options.concurrency, self._options.tenant_concurrency):
            raise ValueError("drain_seconds and limits on concurrency: above 0")
        self._plan: Plan | None = None
        self._sources: Mapping[str, ForeignSource] = {}
        self._receive: Receive | None = None
        self._served: Mapping[str, AsgiApp] = {}
        self._made: list[App] = []
        headers = {"x-inngest-env": settings.environment} if settings.environment else {}
        bearer = {"Authorization": f"Bearer {settings.bearer}"} if settings.signing_key else {}
        pause = pause_by("retry-after", "x-ratelimit-reset")
        self._events = HttpClient(
            settings.events, service="Inngest", extra="inngest", credentials="INNGEST_EVENT_KEY", headers=headers,
            pause=pause, clock=self._clock,
        )  # fmt: skip
        self._http = HttpClient(
            settings.api, service="Inngest", extra="inngest", credentials="INNGEST_SIGNING_KEY and INNGEST_ENV",
            headers={**headers, **bearer}, pause=pause, clock=self._clock,
        )  # fmt: skip

    @classmethod
    def from_settings(cls, values: Mapping[str, str], **options: Any) -> Self:
        """From the environment: ``INNGEST_EVENT_KEY``, ``INNGEST_SIGNING_KEY``, ``INNGEST_SIGNING_KEY_FALLBACK``, ``INNGEST_ENV``,
        ``INNGEST_DEV``, ``INNGEST_BASE_URL`` and its like, and ``JOBS_PUBLIC_URL``; and the options in ``JOBS_INNGEST_…``.
        ``options`` win over those.

        Raises ``NotConfigured`` naming what is missing or has not the form of such a value.
        """
        try:
            return cls(read_settings(values), **{**read_options(values), **options})
        except ValueError as error:
            raise NotConfigured(f"JOBS_INNGEST_…: {error}") from None

    def __repr__(self) -> str:
        return f"InngestProvider({self._settings.api} -> {self._settings.public_url})"

    @property
    def name(self) -> str:
        return "inngest"

    @property
    def capabilities(self) -> Capabilities:
        return INNGEST

    def learn(self, plan: Plan) -> None:
        """What there is to be called for, before anybody calls."""
        self._plan = Plan(self._app, plan.tasks, plan.ticks, plan.public_url, plan.ring_every)

    def bring(self, sources: Mapping[str, ForeignSource], receive: Receive) -> None:
        """Pass events of these names on to ``receive``."""
        self._sources, self._receive = sources, receive

    async def dispatch(self, wakeups: Sequence[Wakeup]) -> list[Receipt]:
        name = name_of(self._app, each=self._options.function_each)
        return await dispatch(self._events, self._settings.event_key, self._clock, name, wakeups)

    async def withdraw(self, handed: Sequence[Handed]) -> list[bool]:
        return await withdraw(self._http, self._events, self._settings.event_key, self._clock, self._app, handed)

    async def sync(self, plan: Plan) -> list[str]:
        """Have the vendor register the functions, as its package does when it is asked to with the signing key.

        Raises ``ProviderUnavailable`` if it did not.
        """
        if self._connect:
            return []  # they are registered with the connection
        lines: list[str] = []
        for path, app in self._served.items():
            if not await self._register(app):
                raise ProviderUnavailable(
                    f"Inngest did not register the functions of {path}: look at INNGEST_SIGNING_KEY and INNGEST_ENV, and "
                    "whether its API is reached; it is tried again at the next start"
                )
            lines.append(f"functions registered for {self._settings.public_url}{path}")
        return lines

    async def _register(self, app: AsgiApp) -> bool:
        now = self._clock.micros() // 1_000_000
        headers = [(b"host", b"localhost"), (b"content-length", b"0")]
        if self._settings.keys:
            headers.append((b"x-inngest-signature", sign(self._settings.keys[0], b"", now).encode()))
        answered: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            answered.append(message)

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "PUT", "scheme": "http", "path": PATH,
            "raw_path": PATH.encode(), "query_string": b"", "root_path": "", "headers": headers,
            "client": None, "server": ("localhost", 80),
        }  # fmt: skip
        await app(scope, receive, send)
        # The package answers 200 also where the vendor refused: the body is the vendor's.
        said = fields_of(b"".join(message.get("body", b"") for message in answered))
        return answered[0]["status"] == 200 and said.get("ok") is True

    async def health(self) -> Health:
        warnings: list[str] = []
        if self._settings.dev:
            warnings.append("INNGEST_DEV is set: calls are let in unsigned")
        try:
            await self._http.call("GET", "/v1/events", query=[("limit", "1")])
        except JobsError as error:
            return Health(False, str(error))
        return Health(True, warnings=tuple(warnings))

    def work(
        self, deliver: Deliver, drain: Drain, *, queues: Sequence[str], concurrency: int
    ) -> AbstractAsyncContextManager[None] | None:
        """A connection to Inngest, if it is to be reached that way; else Inngest calls from outside."""
        return connected(self._apps(deliver, drain), concurrency) if self._connect else None

    def routes(self, deliver: Deliver, drain: Drain) -> Mapping[str, AsgiApp]:
        if self._connect:
            return {}
        keys = None if self._settings.dev else self._settings.keys
        served: dict[str, AsgiApp] = {}
        for number, app in enumerate(self._apps(deliver, drain), 1):
            path = PATH if number == 1 else f"{PATH}/{number}"
            inner, whole = serve(app, self._settings.public_url, path)
            served[path] = Guarded(inner, whole, keys, self._seen, self._clock)
        self._served = served
        return served

    def _apps(self, deliver: Deliver, drain: Drain) -> list[App]:
        if self._plan is None:
            raise NotConfigured("the Inngest provider must learn what there is to be called for first: learn(plan)")
        return make_apps(self._settings, self._plan, self._options, deliver, drain, self._sources, self._receive)

    def setup(self) -> Setup:
        return SETUP

    async def close(self) -> None:
        made, self._made = self._made, []
        for app in made:
            await app.close()
        await self._events.close()
        await self._http.close()


def create(context: ProviderContext) -> InngestProvider:
    """The provider of an application. Raises ``NotConfigured`` as ``InngestProvider.from_settings`` does."""
    values = {**context.values, **({"JOBS_PUBLIC_URL": context.public_url} if context.public_url else {})}
    return InngestProvider.from_settings(values, app=context.app, seen=context.seen, clock=context.clock)
