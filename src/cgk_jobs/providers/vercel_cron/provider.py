"""The provider ``vercel_cron``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from cgk_jobs.clock import Clock, SystemClock
from cgk_jobs.providers.capabilities import VERCEL_CRON, Capabilities
from cgk_jobs.providers.making import ProviderContext
from cgk_jobs.providers.provider import AsgiApp, Deliver, Drain, Handed, Health, Plan, Receipt, Setup, Wakeup
from cgk_jobs.providers.vercel_cron.receive import Guarded
from cgk_jobs.providers.vercel_cron.ringing import Bell
from cgk_jobs.providers.vercel_cron.settings import CRON_PATH, DRAIN_PATH, SETUP, VercelSettings, read_settings
from cgk_jobs.providers.vercel_cron.shift import Shift
from cgk_jobs.wire.leases import Leases, LeasesHere

__all__ = ["VercelCronProvider", "create"]


class VercelCronProvider:
    """Takes no wake-ups: Vercel's clock calls ``/cron/…``, a send calls ``/drain``, and either works off what is due.

    ``leases``: what keeps calls from working at the same time; processes that answer for one address must share it.
    """

    def __init__(
        self,
        settings: VercelSettings,
        *,
        app: str = "default",
        leases: Leases | None = None,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self._settings, self._app = settings, app
        self._leases = leases or LeasesHere(clock)
        self._shift: Shift | None = None
        self._bell: Bell | None = None
        if settings.public_url is not None and settings.secrets:
            self._bell = Bell(settings.public_url, settings.secrets[0], settings.max_duration, clock)

    @classmethod
    def from_settings(cls, values: Mapping[str, str], **options: Any) -> Self:
        """From the environment: ``CRON_SECRET``, ``CRON_SECRET_PREVIOUS``, ``JOBS_PUBLIC_URL``, ``JOBS_MAX_DURATION``,
        ``JOBS_VERCEL_PLAN`` and ``JOBS_VERCEL_LINGER``.

        Raises ``NotConfigured`` naming what is missing or has not the form of such a value.
        """
        return cls(read_settings(values), **options)

    def __repr__(self) -> str:
        return f"VercelCronProvider({self._settings.public_url})"

    @property
    def name(self) -> str:
        return "vercel_cron"

    @property
    def capabilities(self) -> Capabilities:
        return VERCEL_CRON

    @property
    def longest_call(self) -> float:
        """Seconds of a call in which work is done."""
        return self._settings.budget

    async def dispatch(self, wakeups: Sequence[Wakeup]) -> list[Receipt]:
        """No receipt: there is nobody to take a wake-up."""
        return []

    async def withdraw(self, handed: Sequence[Handed]) -> list[bool]:
        """All of them: none was ever handed over, and none will ring."""
        return [True] * len(handed)

    async def ring(self) -> None:
        if self._bell is not None and not (self._shift is not None and self._shift.ask()):
            await self._bell.ring()

    async def sync(self, plan: Plan) -> list[str]:
        """Nothing: the clock is told by vercel.json, with a deployment (``cgk jobs vercel generate``)."""
        return []

    async def health(self) -> Health:
        if not self._settings.secrets:
            return Health(False, "CRON_SECRET is not set in this preview deployment: nobody's calls are let in")
        if self._bell is None:
            return Health(
                True, warnings=("JOBS_PUBLIC_URL is not set: what is sent waits until Vercel's clock rings next",)
            )
        return await self._bell.health()

    def work(self, deliver: Deliver, drain: Drain, *, queues: Sequence[str], concurrency: int) -> None:
        """None: Vercel calls from outside."""

    def routes(self, deliver: Deliver, drain: Drain) -> Mapping[str, AsgiApp]:
        self._shift = Shift(
            self._leases,
            f"vercel_cron:{self._app}",
            drain,
            self.ring,
            budget=self._settings.budget,
            longest=self._settings.max_duration,
            linger=self._settings.linger,
        )
        guarded = Guarded(self._settings.secrets, self._shift.work)
        return {CRON_PATH: guarded, DRAIN_PATH: guarded}

    def setup(self) -> Setup:
        return SETUP

    async def close(self) -> None:
        if self._bell is not None:
            await self._bell.close()


def create(context: ProviderContext) -> VercelCronProvider:
    """The provider of an application. Raises ``NotConfigured`` as ``VercelCronProvider.from_settings`` does."""
    values = {**context.values, **({"JOBS_PUBLIC_URL": context.public_url} if context.public_url else {})}
    return VercelCronProvider.from_settings(values, app=context.app, leases=context.leases, clock=context.clock)
