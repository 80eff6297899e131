"""The table of routes, and what a handler is called with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import BaseModel

from cgk_jobs.api.models import Empty, Nothing
from cgk_jobs.clock import Clock
from cgk_jobs.controls import Queues, Schedules
from cgk_jobs.errors import RunNotFound
from cgk_jobs.events import EventRegistry
from cgk_jobs.providers.bound import BoundProvider
from cgk_jobs.run_views import Run
from cgk_jobs.runs import Runs
from cgk_jobs.tasks.registry import TaskRegistry
from cgk_jobs.tenancy import PLATFORM, across_tenants, tenant_context
from cgk_jobs.tenancy.context import PLATFORM_SCOPE, enter_scope, leave_scope
from cgk_jobs.tenants import Tenants
from cgk_jobs.web.access import Access, Refused

__all__ = ["Application", "Call", "Route", "acting_for", "find_route"]


class Application(Protocol):
    """The part of ``Jobs`` that the API serves."""

    app: str
    clock: Clock
    events: EventRegistry
    tasks: TaskRegistry
    provider: BoundProvider
    runs: Runs
    tenants: Tenants
    schedules: Schedules
    queues: Queues

    def send(self, event: str, payload: dict[str, Any], /, **options: Any) -> Awaitable[Any]:
        """Send an event by its name."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """One checked request: who calls (``access``), the names in the path, query and body."""

    jobs: Application
    access: Access
    path: Mapping[str, str]
    query: Any
    body: Any
    key: str | None = None

    def tenant(self, named: str | None) -> str | None:
        """The tenant that is meant; ``None``: all. Raises ``Refused``."""
        if named is not None:
            if not self.access.sees(named):
                raise Refused(403, "this login does not speak for that tenant")
            return named
        if self.access.tenants is None:
            return None
        if len(self.access.tenants) > 1:
            raise Refused(400, "this login speaks for several tenants: say which with tenant_id")
        return next(iter(self.access.tenants))

    @contextmanager
    def scope(self, named: str | None) -> Generator[str | None, None, None]:
        """Act for the tenant that is meant."""
        tenant_id = self.tenant(named)
        with across_tenants(reason="the API, for all tenants") if tenant_id is None else acting_for(tenant_id):
            yield tenant_id

    def own(self, tenant_id: str) -> str:
        """A tenant of the path, which must be the caller's. Raises ``Refused``."""
        if not self.access.sees(tenant_id):
            raise Refused(403, "this login does not speak for that tenant")
        return tenant_id

    async def run(self, run_id: str) -> Run:
        """A run of the caller's, at a glance. Raises ``RunNotFound``, also for one of another tenant."""
        if self.access.run_id in (None, run_id):
            for tenant_id in sorted(self.access.tenants) if self.access.tenants is not None else [None]:
                with self.scope(tenant_id):
                    try:
                        return await self.jobs.runs.glance(run_id)
                    except RunNotFound:
                        continue
        raise RunNotFound("there is no such run for this login; list what there is with GET /api/runs")


@contextmanager
def acting_for(tenant_id: str) -> Generator[None, None, None]:
    """Act for one tenant, or for the installation, whose own runs have an id that names no tenant."""
    if tenant_id != PLATFORM:
        with tenant_context(tenant_id):
            yield
        return
    token = enter_scope(PLATFORM_SCOPE)
    try:
        yield
    finally:
        leave_scope(token)


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path (``/runs/{run_id}``), and what is asked of the caller.

    ``whole``: only for who may see every tenant. ``for_run``: open to tokens of one run. ``stream``: answers server-sent
    events.
    """

    method: str
    path: str
    action: str
    summary: str
    handler: Handler
    query: type[BaseModel] = Nothing
    body: type[BaseModel] = Empty
    answer: type[BaseModel] | None = None
    status: int = 200
    whole: bool = False
    for_run: bool = False
    stream: bool = False
    parts: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.path.strip("/").split("/")))

    def match(self, parts: tuple[str, ...]) -> dict[str, str] | None:
        """The names in a path of this route, ``None`` for another path."""
        if len(parts) != len(self.parts):
            return None
        found: dict[str, str] = {}
        for wanted, given in zip(self.parts, parts, strict=True):
            if wanted.startswith("{"):
                if not given:
                    return None
                found[wanted[1:-1]] = given
            elif wanted != given:
                return None
        return found


def find_route(routes: tuple[Route, ...], method: str, path: str) -> tuple[Route, dict[str, str]]:
    """The route of a request, the first in the table. Raises ``Refused``: 404, or 405 for a path with other methods."""
    parts = tuple(path.strip("/").split("/"))
    there = False
    for route in routes:
        names = route.match(parts)
        if names is not None:
            if route.method == method:
                return route, names
            there = True
    if there:
        raise Refused(405, "this path takes another method: see /api/openapi.json")
    raise Refused(404, "there is nothing at this path: see /api/openapi.json")
