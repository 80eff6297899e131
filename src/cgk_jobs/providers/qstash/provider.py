"""The provider ``qstash``."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Self, cast

from cgk_jobs.clock import Clock, SystemClock
from cgk_jobs.errors import JobsError
from cgk_jobs.providers.capabilities import QSTASH, Capabilities
from cgk_jobs.providers.making import ProviderContext
from cgk_jobs.providers.provider import AsgiApp, Deliver, Drain, Handed, Health, Plan, Receipt, Setup, Wakeup
from cgk_jobs.providers.qstash.dead_letters import DeadLetters
from cgk_jobs.providers.qstash.dispatch import FAILED_PATH, PATH, MessageOptions, dispatch, withdraw
from cgk_jobs.providers.qstash.receive import Signed, clock_endpoint, failed_endpoint, wakeup_endpoint
from cgk_jobs.providers.qstash.schedules import CLOCK_PATH, clock_trouble, prefix_of, sync_schedules
from cgk_jobs.providers.qstash.settings import SETUP, QStashSettings, read_options, read_settings
from cgk_jobs.wire.http import HttpClient
from cgk_jobs.wire.pauses import pause_by
from cgk_jobs.wire.replays import Seen, SeenHere

__all__ = ["QStashProvider", "create"]


class QStashProvider:
    """Hands wake-ups to QStash, which posts each to ``{public_url}/providers/qstash`` when it is due.

    ``seen``: what remembers used tokens; processes that answer for one address must share it. ``retries``: further tries
    of the vendor for a call that was not answered well. ``request_limit``: seconds a call may last, at the vendor by its
    plan and on the host that serves the application; ``drain_seconds``: how long a ring of the clock works things off.
    ``parallelism``: calls at a time, as many as all processes have slots; more than that would be told to come again, which
    costs a message each. ``tenant_parallelism``: instead, calls for one tenant at a time; the ledger's limits hold without it.
    ``schedule_each``: a schedule at the vendor for each of the application's, and a ring of the clock only each five minutes.
    Raises ``ValueError`` for numbers that make no sense.
    """

    def __init__(
        self,
        settings: QStashSettings,
        *,
        app: str = "default",
        seen: Seen | None = None,
        clock: Clock | None = None,
        retries: int = 3,
        request_limit: int = 900,
        drain_seconds: float = 50.0,
        parallelism: int = 100,
        tenant_parallelism: int | None = None,
        schedule_each: bool = False,
    ) -> None:
        if retries < 0 or request_limit < 1 or not 0 < drain_seconds <= request_limit:
            raise ValueError("retries from 0, request_limit from 1 s, drain_seconds above 0 and within request_limit")
        if parallelism < 1 or (tenant_parallelism is not None and tenant_parallelism < 1):
            raise ValueError("parallelism and tenant_parallelism: 1 and more")
        self._settings, self._app, self._clock = settings, app, clock or SystemClock()
        self._seen = seen or SeenHere(self._clock)
        self._keys = (settings.current_signing_key.encode(), settings.next_signing_key.encode())
        self._retries, self._request_limit, self._drain_seconds = retries, request_limit, drain_seconds
        self._schedule_each = schedule_each
        self._messages = MessageOptions(
            settings.public_url, retries, request_limit, f"{prefix_of(app)}calls", parallelism, tenant_parallelism
        )
        self._http = HttpClient(
            settings.url,
            service="QStash",
            extra="qstash",
            credentials="QSTASH_TOKEN and QSTASH_URL (each region has a token of its own)",
            headers={"Authorization": f"Bearer {settings.token}"},
            # Of a day's quota, and of a second's: it has no Retry-After.
            pause=pause_by("retry-after", "ratelimit-reset", "burst-ratelimit-reset"),
            clock=self._clock,
        )

    @classmethod
    def from_settings(cls, values: Mapping[str, str], **options: Any) -> Self:
        """From the environment: ``QSTASH_TOKEN``, ``QSTASH_URL``, ``QSTASH_CURRENT_SIGNING_KEY``, ``QSTASH_NEXT_SIGNING_KEY``
        and ``JOBS_PUBLIC_URL``; and the options in ``JOBS_QSTASH_…``. ``options`` win over those.

        Raises ``NotConfigured`` naming what is missing or has not the form of such a value.
        """
        return cls(read_settings(values), **{**read_options(values), **options})

    def __repr__(self) -> str:
        return f"QStashProvider({self._settings.url} -> {self._settings.public_url})"

    @property
    def name(self) -> str:
        return "qstash"

    @property
    def capabilities(self) -> Capabilities:
        return QSTASH

    @property
    def longest_call(self) -> float:
        """Seconds QStash waits for an answer."""
        return float(self._request_limit)

    @property
    def dead_letters(self) -> DeadLetters:
        """What QStash has given up, for operators."""
        return DeadLetters(self._http, self._settings.public_url + PATH)

    async def dispatch(self, wakeups: Sequence[Wakeup]) -> list[Receipt]:
        return await dispatch(self._http, self._clock, self._messages, wakeups)

    async def withdraw(self, handed: Sequence[Handed]) -> list[bool]:
        return await withdraw(self._http, handed)

    async def sync(self, plan: Plan) -> list[str]:
        return await sync_schedules(
            self._http,
            plan,
            self._settings.public_url,
            each=self._schedule_each,
            retries=self._retries,
            request_limit=self._request_limit,
        )

    async def health(self) -> Health:
        try:
            found: object = (await self._http.call("GET", "/v2/keys")).json
            fields = cast(dict[str, object], found) if isinstance(found, dict) else {}
            current, following = fields.get("current"), fields.get("next")
            if not isinstance(current, str) or not isinstance(following, str):
                return Health(False, "QStash answered the question for its signing keys with something unknown")
            warnings = [await clock_trouble(self._http, self._app, self._settings.public_url)]
        except JobsError as error:
            return Health(False, str(error))
        if not any(hmac.compare_digest(key, current.encode()) for key in self._keys):
            return Health(
                False,
                "QStash signs with a key that is not known here, so every call is refused: take both signing keys anew",
            )
        if not hmac.compare_digest(self._keys[0], current.encode()) or not hmac.compare_digest(
            self._keys[1], following.encode()
        ):
            warnings.append("QStash's signing keys were rotated: take both anew, before the next rotation locks it out")
        return Health(True, warnings=tuple(warning for warning in warnings if warning))

    def work(self, deliver: Deliver, drain: Drain, *, queues: Sequence[str], concurrency: int) -> None:
        """None: QStash calls from outside."""

    def routes(self, deliver: Deliver, drain: Drain) -> Mapping[str, AsgiApp]:
        limit = float(self._request_limit)
        handlers = {
            PATH: wakeup_endpoint(deliver, limit),
            FAILED_PATH: failed_endpoint(deliver, limit),
            CLOCK_PATH: clock_endpoint(drain, self._drain_seconds),
        }
        return {
            path: Signed(self._settings.public_url + path, self._keys, self._seen, self._clock, handle)
            for path, handle in handlers.items()
        }

    def setup(self) -> Setup:
        return SETUP

    async def close(self) -> None:
        await self._http.close()


def create(context: ProviderContext) -> QStashProvider:
    """The provider of an application. Raises ``NotConfigured`` as ``QStashProvider.from_settings`` does."""
    values = {**context.values, **({"JOBS_PUBLIC_URL": context.public_url} if context.public_url else {})}
    return QStashProvider.from_settings(values, app=context.app, seen=context.seen, clock=context.clock)
