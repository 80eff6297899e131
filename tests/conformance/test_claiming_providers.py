"""The conformance suite of providers, on those that are no more than workers which claim by themselves."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from tests.servers.ledgers import Ledgers

from cgk_jobs import Jobs
from cgk_jobs.testing.conformance.provider import ProviderConformance, Site


class ClaimingSite(Site):
    """No vendor: whoever asks about one has not looked at ``needs_vendor``."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._made: list[Jobs] = []

    def make_jobs(self) -> Jobs:
        self._made.append(Jobs(self._url))
        return self._made[-1]

    @asynccontextmanager
    async def serving(self, jobs: Jobs) -> AsyncGenerator[None, None]:
        await jobs.start()
        try:
            yield
        finally:
            await jobs.stop()

    def close(self) -> None:
        for jobs in self._made:
            jobs.close()

    def seen_by_vendor(self) -> NoReturn:
        raise NotImplementedError("there is no vendor")

    async def pending_at_vendor(self) -> NoReturn:
        raise NotImplementedError("there is no vendor")

    def unreachable(self) -> AbstractAsyncContextManager[None]:
        raise NotImplementedError("there is no vendor")

    losing = doubling = unreachable

    async def ring_clock(self) -> NoReturn:
        raise NotImplementedError("there is no vendor")


class TestEmbedded(ProviderConformance):
    needs_vendor = False

    @asynccontextmanager
    async def installation(self, folder: Path) -> AsyncGenerator[Site, None]:
        site = ClaimingSite(f"sqlite:///{folder / 'jobs.db'}")
        yield site
        site.close()


class TestPostgres(ProviderConformance):
    needs_vendor = False

    @pytest.fixture(autouse=True)
    def _ledgers(self, postgres_ledgers: Ledgers) -> None:
        self._of = postgres_ledgers

    @asynccontextmanager
    async def installation(self, folder: Path) -> AsyncGenerator[Site, None]:
        site = ClaimingSite(self._of.of_folder(folder).worker_url)
        yield site
        site.close()
