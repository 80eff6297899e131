"""What the demo runs: the application over a ledger and its folder, with all schedules or a few."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from cgk_jobs import Jobs, TaskGroup
from cgk_jobs.clock import Clock
from cgk_jobs.examples.commerce import build
from cgk_jobs.examples.commerce.application import Commerce
from cgk_jobs.examples.commerce.chosen_times import CHOSEN_TIMES
from cgk_jobs.examples.commerce.demo.ledger import Ledger
from cgk_jobs.examples.commerce.payout_approvals import PayoutDecided
from cgk_jobs.examples.commerce.vendors import VendorDoubles
from cgk_jobs.tasks.task import Middleware

__all__ = ["MINUTES_A_DAY", "NAMED_SCHEDULES", "TWO_DAYS", "TWO_DAYS_TENANTS", "application"]

NAMED_SCHEDULES = (
    "analytics-hourly-metrics-rollup",
    "analytics-aggregate-daily-metrics",
    "ab-nightly-metrics-reconciliation",
    "mature-commissions",
    "subscription-daily-billing",
    "analytics-weekly-metrics-summary",
    "survey-weekly-digest",
    "creator-weekly-digest",
    "creator-generate-weekly-summary",
    "w9-compliance-reminders",
)
"""One hourly, four daily and five weekly schedules, replayed over the whole stream for every tenant."""

TWO_DAYS = (date(2011, 3, 13), date(2011, 12, 9))
"""Days (UTC) on which every schedule runs: New York's clocks go forward on the first, the stream ends on the second."""
MINUTES_A_DAY = 1_440
TWO_DAYS_TENANTS = ("united-kingdom", "germany", "france")

VENDOR_FAILURES = 0.1
"""The share of calls a vendor's double fails, so that retries are seen."""


def application(
    ledger: Ledger, clock: Clock, schedules: Sequence[str] | None, middleware: tuple[Middleware, ...] = ()
) -> tuple[Jobs, Commerce]:
    """The example over a ledger; the tenants' databases are in its folder. ``middleware`` wraps the tasks of orders.

    ``schedules``: only these; ``None``: every one but those whose time of day is this example's own choice.
    """
    vendors = VendorDoubles(ledger.folder, failure_rate=VENDOR_FAILURES)
    shop, groups = build(ledger.folder, clock=clock, vendors=vendors)
    chosen = TaskGroup()
    for group in groups:
        for task in group:
            if task.schedule is not None and not _is_wanted(task.id, schedules):
                continue
            if task.on is not None and task.on.event_name.startswith(("order.", "commerce_example.")):
                task.middleware = middleware
            chosen.tasks.add(task)
    jobs = ledger.jobs(clock)
    jobs.include(chosen)
    jobs.events.add(PayoutDecided)
    return jobs, shop


def _is_wanted(schedule: str, schedules: Sequence[str] | None) -> bool:
    return schedule not in CHOSEN_TIMES if schedules is None else schedule in schedules
