"""An application on loan: for the length of a test the same object works on another ledger and clock."""

from __future__ import annotations

from collections.abc import Callable

from cgk_jobs.app import Jobs
from cgk_jobs.clock import Clock
from cgk_jobs.errors import NotConfigured
from cgk_jobs.providers.bound import BoundProvider
from cgk_jobs.tasks.group import TaskGroup

__all__ = ["borrow"]


def borrow(jobs: Jobs, provider: BoundProvider, clock: Clock) -> Callable[[], None]:
    """Put ``jobs`` on another provider and clock, its tasks and tenants' list kept; returns what puts it back.

    The object stays the same, so modules that imported it, and tasks that send by it, use the test's ledger too. What is
    declared meanwhile is gone afterwards. Raises ``NotConfigured`` for an application at work.
    """
    if jobs.running is not None:
        raise NotConfigured("the application works already: a harness needs it before jobs.start()")
    state = dict(vars(jobs))
    declared = TaskGroup()
    declared.tasks = jobs.tasks
    Jobs.__init__(
        jobs,
        provider=provider,
        app=jobs.app,
        clock=clock,
        max_payload_bytes=state["_services"].max_result_bytes,
        retention=state["_retention"],
        max_call_depth=state["_services"].max_depth,
    )
    jobs.include(declared)
    for name in state["events"]:
        jobs.events.add(state["events"][name])
    jobs.tenants.source = state["tenants"].source

    def give_back() -> None:
        jobs.close()
        vars(jobs).clear()
        vars(jobs).update(state)

    return give_back
