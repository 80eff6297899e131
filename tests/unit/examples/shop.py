"""The bench of the services, with what the tasks of money and mail need besides: sends of tasks, which are remembered."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from pydantic import BaseModel
from tests.unit.examples_services.bench import TENANT, Bench, RecordingContext

from cgk_jobs import Event, Tick, tenant_context
from cgk_jobs.examples.commerce import seed
from cgk_jobs.examples.commerce.vendors import Done
from cgk_jobs.tasks.task import Task

__all__ = ["TENANT", "Shop", "ShopContext", "open_shop"]


class ShopContext(RecordingContext):
    """As the engine's, with a log."""

    log = logging.getLogger("tests.shop")

    def sent_of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.sent if isinstance(event, kind)]


class TaskSends:
    """Takes what tasks are sent, once for each key."""

    def __init__(self) -> None:
        self.keys: set[tuple[str, str]] = set()
        self.payloads: list[tuple[str, BaseModel]] = []

    async def send_task(self, task: Task[Any], payload: BaseModel, options: dict[str, Any]) -> None:
        if (task.id, options["key"]) not in self.keys:
            self.keys.add((task.id, options["key"]))
            self.payloads.append((task.id, payload))


class Shop(Bench):
    """A bench whose contexts and tasks remember what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self._declared = dict(self.tasks)
        self.ctx: ShopContext
        self.sends: TaskSends
        self.reset()

    def reset(self) -> None:
        super().reset()
        self.vendors.declining.clear()
        self.vendors.transfer_states.clear()
        self.tasks = dict(self._declared)
        self.ctx = ShopContext()
        self.sends = TaskSends()
        for task in self.tasks.values():
            task.sender = self.sends  # type: ignore[assignment]

    def plant(self, *customers: str) -> None:
        seed.plant(self.app, TENANT, customers)

    async def order(self, order_id: str, cents: int, customer_id: str | None = "ann", currency: str = "GBP") -> None:
        """All that an order starts, in the order of the tasks."""
        for task in self.tasks.values():
            if task.on is not None and task.on.event_name == "order.created":
                payload = self.payload(
                    task.id, order_id=order_id, customer_id=customer_id, total_amount_cents=cents, currency=currency
                )
                await self.attempt(task, payload)

    async def tick_of(
        self, task_id: str, at: datetime | None = None, before: timedelta | None = timedelta(days=1)
    ) -> Any:
        """One attempt of a schedule's tick at the present moment or another one."""
        task = self.tasks[task_id]
        assert task.schedule is not None
        moment = at or self.clock.now()
        tick = Tick(
            TENANT,
            task_id,
            moment,
            task.schedule.cron.local(moment),
            task.schedule.cron.timezone,
            None if before is None else moment - before,
        )
        return await self.attempt(task, tick)

    async def work_off(self) -> list[Any]:
        """Run what tasks were sent; the results."""
        results: list[Any] = []
        while self.sends.payloads:
            task_id, payload = self.sends.payloads.pop(0)
            results.append(await self.attempt(self.tasks[task_id], payload))
        return results

    def done(self, action: str) -> list[Done]:
        return self.vendors.done(TENANT, action)

    def revenue(self) -> int:
        return self.app.shops.revenue_pence(TENANT)


_shop = cache(Shop)


@contextmanager
def open_shop() -> Generator[Shop, None, None]:
    """A shop as new, whose tenant is current. Its tasks are declared once: that takes longer than most tests."""
    shop = _shop()
    shop.reset()
    try:
        with tenant_context(TENANT):
            yield shop
    finally:
        shop.app.shops.close()
