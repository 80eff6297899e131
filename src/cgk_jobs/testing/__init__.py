"""Testing an application's jobs: the real engine on a temporary file, under a clock the test moves.

``JobsHarness`` is the way in; pytest users get it as the fixture ``jobs_harness``. Store authors find the suite every store
has to pass in ``cgk_jobs.testing.conformance``.
"""

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
