"""Testing an application's jobs: the real engine on a temporary file, under a clock the test moves.

``JobsHarness`` is the way in; pytest users get it as the fixture ``jobs_harness``. Store authors find the suite every store
has to pass in ``cgk_jobs.testing.conformance``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cgk_jobs.testing.clock import TestClock
    from cgk_jobs.testing.drained import Drained, DrainFailed, DrainTimeout, FailedAttempt
    from cgk_jobs.testing.harness import JobsHarness
    from cgk_jobs.testing.recording import Crash, SentEvent
    from cgk_jobs.testing.tenants import TenantLeak

__all__ = [
    "Crash",
    "DrainFailed",
    "DrainTimeout",
    "Drained",
    "FailedAttempt",
    "JobsHarness",
    "SentEvent",
    "TenantLeak",
    "TestClock",
]

_MODULES = {
    "Crash": "recording",
    "DrainFailed": "drained",
    "DrainTimeout": "drained",
    "Drained": "drained",
    "FailedAttempt": "drained",
    "JobsHarness": "harness",
    "SentEvent": "recording",
    "TenantLeak": "tenants",
    "TestClock": "clock",
}


def __getattr__(name: str) -> object:
    # Loaded when asked for: pytest imports this package in every project that has cgk-jobs installed.
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)
