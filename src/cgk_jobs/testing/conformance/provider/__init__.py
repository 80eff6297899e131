"""The suite every provider passes: what a user of the package sees, whoever wakes the runs.

A provider's author subclasses :class:`ProviderConformance` and says how an installation with it is made::

    class TestMyProvider(ProviderConformance):
        @asynccontextmanager
        async def installation(self, folder):
            async with MyPeer() as peer:
                yield MySite(folder, peer)          # a ``Site``

It works in real time, as providers have clocks of their own; nothing in it waits longer than a few seconds for what must happen.
"""

from cgk_jobs.testing.conformance.provider.attempts import AttemptsSuite
from cgk_jobs.testing.conformance.provider.case import ProviderCase, Site
from cgk_jobs.testing.conformance.provider.sending import SendingSuite
from cgk_jobs.testing.conformance.provider.tenants import TenantsSuite
from cgk_jobs.testing.conformance.provider.waking import WakingSuite
from cgk_jobs.testing.conformance.provider.workflows import WorkflowsSuite

__all__ = ["ProviderCase", "ProviderConformance", "Site"]


class ProviderConformance(SendingSuite, AttemptsSuite, TenantsSuite, WorkflowsSuite, WakingSuite):
    """All suites of a provider in one class."""
