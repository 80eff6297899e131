"""What an application serves to people and programs behind one gate: by path, for ``jobs.asgi()``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cgk_jobs.api.application import PREFIX, Api
from cgk_jobs.api.routing import Application
from cgk_jobs.providers.provider import AsgiApp
from cgk_jobs.web.access_gate import Authorize, Gate
from cgk_jobs.web.access_login import Login
from cgk_jobs.web.access_tokens import Tokens

__all__ = ["guarded_parts"]


def guarded_parts(
    jobs: Application,
    tokens: Tokens,
    operator: str | None,
    keys: Sequence[bytes],
    authorize: Authorize | None,
    origins: Iterable[str],
) -> dict[str, AsgiApp]:
    """The API and the login. ``operator``: ``JOBS_DASHBOARD_TOKEN``; ``keys``: ``JOBS_SIGNING_KEY``."""
    gate = Gate(tokens, jobs.clock, operator, keys, authorize)
    login = Login(gate, jobs.clock)
    return {PREFIX: Api(jobs, gate, frozenset(origins)), "/login": login.login, "/logout": login.logout}
