"""A provider together with the ledger whose runs it wakes: what an application is run by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cgk_jobs.clock import Clock
from cgk_jobs.engine.scheduler import TenantList
from cgk_jobs.engine.store import Store
from cgk_jobs.providers.capabilities import Capabilities
from cgk_jobs.providers.foreign import ForeignSources
from cgk_jobs.providers.provider import AsgiApp, Health, JobProvider
from cgk_jobs.providers.tenant_names import TenantNames
from cgk_jobs.runtime.context import Services
from cgk_jobs.signals import Signals
from cgk_jobs.tasks.registry import TaskRegistry

__all__ = ["BoundProvider", "Logins", "ProviderSettings", "Running", "WorkOrder"]


class Logins(Protocol):
    """The part of the logins a provider needs."""

    @property
    def worker(self) -> str:
        """The address the engine uses."""
        ...


class ProviderSettings(Protocol):
    """What a provider is made of: the part of the settings it needs."""

    @property
    def provider(self) -> str:
        """As in ``JOBS_PROVIDER``."""
        ...

    @property
    def database(self) -> Path | None:
        """The ledger's file, where it is in SQLite."""
        ...

    @property
    def postgres(self) -> Logins | None:
        """The ledger's addresses, where it is in PostgreSQL."""
        ...

    @property
    def full_sync(self) -> bool:
        """Whether a commit waits for the disk."""
        ...


@dataclass(frozen=True)
class WorkOrder:
    """What a provider needs to run an application's work in this process. ``lease`` and ``retention`` are seconds."""

    tasks: TaskRegistry
    services: Services
    tenants: TenantList
    emitter: Signals
    clock: Clock
    concurrency: int
    queues: Sequence[str] | None
    lease: float
    scheduler: bool
    retention: float
    foreign: ForeignSources
    on_call: bool = False
    """This process works only while it is called, and may be put to sleep after each call."""


class BoundProvider(Protocol):
    """A provider and its ledger."""

    @property
    def name(self) -> str:
        """As in ``JOBS_PROVIDER``."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it delivers natively."""
        ...

    @property
    def store(self) -> Store:
        """The ledger whose runs it wakes."""
        ...

    @property
    def names(self) -> TenantNames:
        """How providers are told of tenants."""
        ...

    def hosted(self, name: str) -> JobProvider:
        """The hosted provider of that name, of these settings. Raises ``NotConfigured`` where some are missing."""
        ...

    async def start(self, order: WorkOrder) -> Running:
        """Begin to deliver runs in this process, on the running loop."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class Running(Protocol):
    """Work going on in this process."""

    async def stop(self, grace: float) -> None:
        """End it: nothing new is begun, what runs has ``grace`` seconds, the rest is put back."""
        ...

    def cancel(self, seq: int) -> None:
        """End the attempt of a run that was cancelled, if it runs here."""
        ...

    def wake(self) -> None:
        """Look for work now."""
        ...

    @property
    def idle(self) -> bool:
        """Nothing runs here at the moment."""
        ...

    @property
    def begun(self) -> int:
        """Attempts begun so far."""
        ...

    @property
    def on_call(self) -> bool:
        """It works only while this process is called, which may sleep in between."""
        ...

    async def fire_due(self) -> int | None:
        """Fire the schedules that are due now; the next moment (microseconds) one is."""
        ...

    async def upkeep(self) -> int:
        """Expire and prune now; returns how many runs were deleted."""
        ...

    async def drain(self, budget: float) -> Mapping[str, int]:
        """Fire what is due and work off what is ready for ``budget`` seconds: ``{"runs", "left", "next_ms"}``."""
        ...

    async def flush(self) -> None:
        """Hand out the wake-ups there are to be handed out now, or have them rung for."""
        ...

    def routes(self) -> Mapping[str, AsgiApp]:
        """What providers' calls are answered by, by path; one with a slash at its end stands for all below it."""
        ...

    def health(self) -> Health:
        """Whether it claims, or could claim."""
        ...
