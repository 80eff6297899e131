"""The example's tasks on the real engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cgk_jobs import Jobs, tenant_context
from cgk_jobs.examples.commerce import Commerce, build
from cgk_jobs.examples.commerce.vendors import VendorDoubles
from cgk_jobs.runs import Run
from cgk_jobs.tasks.task import Task
from cgk_jobs.testing import JobsHarness

__all__ = ["Rig"]


class Rig:
    """A harness with the example's tasks included."""

    def __init__(self, folder: Path, vendors: VendorDoubles) -> None:
        self.harness = JobsHarness(folder=folder)
        self.jobs: Jobs = self.harness.jobs
        self.vendors = vendors
        self.app: Commerce
        self.app, groups = build(None, clock=self.harness.clock, vendors=vendors)
        self.jobs.include(*groups)

    async def finish(self) -> None:
        """Run all that is due, and what a limit or rate holds back, second by second."""
        while (await self.harness.drain(raise_failures=True)).attempts:
            self.harness.clock.advance(1)

    def task(self, task_id: str) -> Task[Any]:
        return next(task for task in self.jobs.tasks if task.id == task_id)

    async def runs_of(self, task_id: str) -> list[Run]:
        return [run for run in await self.harness.runs_of("acme") if run.task == task_id]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with tenant_context("acme"), self.app.shops.current() as db:
            return db.execute(query).fetchall()

    def close(self) -> None:
        self.harness.close()
        self.app.shops.close()
        self.vendors.close()
