"""The suite every store passes: behaviour, refusals and races, through the boundary of ``engine/store.py`` alone.

A store's author subclasses :class:`StoreConformance` and says how a store is made::

    class TestSqliteStore(StoreConformance):
        def make_store(self, folder, clock):
            return SqliteStore(folder / "jobs.db", clock)

        async def bury(self, store, seat):
            ...  # make the worker of this seat look dead

The random histories of ``stateful.py`` are bound apart; they need Hypothesis.
"""

from cgk_jobs.testing.conformance.acting import ActingSuite
from cgk_jobs.testing.conformance.awaiting import AwaitingSuite
from cgk_jobs.testing.conformance.case import Driver, StoreCase, subscription
from cgk_jobs.testing.conformance.claiming import ClaimingSuite
from cgk_jobs.testing.conformance.families import FamiliesSuite
from cgk_jobs.testing.conformance.flowing import FlowSuite
from cgk_jobs.testing.conformance.journalling import JournallingSuite
from cgk_jobs.testing.conformance.leasing import LeasingSuite
from cgk_jobs.testing.conformance.limiting import LimitingSuite
from cgk_jobs.testing.conformance.lines import LineSuite
from cgk_jobs.testing.conformance.ordering import OrderingSuite
from cgk_jobs.testing.conformance.pausing import PausingSuite
from cgk_jobs.testing.conformance.quotas import QuotasSuite
from cgk_jobs.testing.conformance.reading import ReadingSuite
from cgk_jobs.testing.conformance.ringing import RingingSuite
from cgk_jobs.testing.conformance.scheduling import SchedulingSuite
from cgk_jobs.testing.conformance.seats import SeatsSuite
from cgk_jobs.testing.conformance.sending import SendingSuite
from cgk_jobs.testing.conformance.tenant_data import TenantDataSuite
from cgk_jobs.testing.conformance.waking import WakingSuite

__all__ = ["Driver", "StoreCase", "StoreConformance", "subscription"]


class StoreConformance(
    SendingSuite,
    ClaimingSuite,
    OrderingSuite,
    LimitingSuite,
    FlowSuite,
    LineSuite,
    PausingSuite,
    ActingSuite,
    SeatsSuite,
    SchedulingSuite,
    ReadingSuite,
    QuotasSuite,
    TenantDataSuite,
    JournallingSuite,
    AwaitingSuite,
    FamiliesSuite,
    WakingSuite,
    RingingSuite,
    LeasingSuite,
):
    """All suites of a store in one class."""
