"""What the suites of a provider share: an installation with it, and the events they send."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from cgk_jobs import Event, Jobs, Run, Sent, across_tenants
from cgk_jobs.engine.states import FINAL
from cgk_jobs.providers import hosting, relay

__all__ = ["LONG", "Ping", "Pong", "ProviderCase", "Site"]

LONG = 20.0
"""Seconds something may take that must happen: never waited for if all is well."""


class Ping(Event, name="conformance.ping"):
    """What the suites send."""

    number: int = 0
    note: str = ""


class Pong(Event, name="conformance.pong"):
    """What the suites wait for."""

    number: int = 0


class Site(ABC):
    """An installation: applications on one ledger, and a vendor, or what stands for it, that rings them."""

    @abstractmethod
    def make_jobs(self) -> Jobs:
        """A new application object of this installation, as another process would have."""

    @abstractmethod
    def serving(self, jobs: Jobs) -> AbstractAsyncContextManager[None]:
        """Make ``jobs`` reachable for the vendor's calls, and start it."""

    @abstractmethod
    def seen_by_vendor(self) -> str:
        """Everything the vendor was shown so far, as text."""

    @abstractmethod
    async def pending_at_vendor(self) -> int:
        """How many wake-ups the vendor holds that have not rung."""

    @abstractmethod
    def unreachable(self) -> AbstractAsyncContextManager[None]:
        """For this long the application can't reach the vendor."""

    @abstractmethod
    def losing(self) -> AbstractAsyncContextManager[None]:
        """For this long the vendor acknowledges what it is handed, and loses it."""

    @abstractmethod
    def doubling(self) -> AbstractAsyncContextManager[None]:
        """For this long the vendor rings everything three times."""

    @abstractmethod
    async def ring_clock(self) -> None:
        """Let the vendor's clock ring once, as it was told to by ``sync``."""


class ProviderCase(ABC):
    """What a provider's author says."""

    needs_vendor = True
    """Whether there is a vendor between the ledger and the worker: the suites about vendors ask for it."""

    @abstractmethod
    def installation(self, folder: Path) -> AbstractAsyncContextManager[Site]:
        """An empty installation."""

    @pytest.fixture
    async def site(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Site, None]:
        """An empty installation, its sweep of overdue wake-ups a few seconds instead of half a minute."""
        monkeypatch.setattr(relay, "OVERDUE_AFTER", 2.0)
        monkeypatch.setattr(hosting, "LOOK_EVERY", 0.2)
        async with self.installation(tmp_path) as site:
            yield site

    async def ended(self, jobs: Jobs, run_id: str) -> Run:
        """The run, once it has ended."""
        async with asyncio.timeout(LONG):
            async for run in jobs.runs.watch(run_id):
                if run.state in FINAL:
                    return run
        raise AssertionError(f"run {run_id} was not followed to its end")

    async def all_ended(self, jobs: Jobs, answers: Iterable[Sent]) -> list[Run]:
        """Every run of some sends, once all have ended."""
        return await asyncio.gather(*[self.ended(jobs, run_id) for one in answers for run_id in one.run_ids])

    async def until(self, look: Callable[[], Awaitable[int]], wanted: int) -> None:
        """Look again and again until there are so many."""
        async with asyncio.timeout(LONG):
            while True:
                if await look() == wanted:
                    return
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def working(self, site: Site, jobs: Jobs) -> AsyncGenerator[None, None]:
        """``jobs`` works, and the test acts for the installation."""
        async with site.serving(jobs):
            with across_tenants(reason="the conformance suite looks at every tenant"):
                yield
