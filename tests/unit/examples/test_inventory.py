"""The example holds every task of the inventory as the inventory states it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.unit.examples.shop import Shop

from cgk_jobs import Limit, Rate
from cgk_jobs.tasks.task import Task

INVENTORY: list[dict[str, Any]] = json.loads(Path(__file__).with_name("inventory_tasks.json").read_text("utf-8"))
FIGURES = {
    "max_attempts": "max_attempts",
    "backoff": "backoff",
    "min_delay_s": "initial",
    "max_delay_s": "maximum",
    "factor": "factor",
}
RATES = {
    "10/s per tenant; 0.55 s between Resend calls": (Rate(10, 1, "tenant"),),
    "100/min": (Rate(100, 60, "tenant"),),
    "10/min": (Rate(10, 60, "tenant"),),
    "10/s default": (Rate(10, 1, "tenant"),),
    "5 SMS/hour and 20 SMS/day per recipient": (Rate(5, 3600, "recipient"), Rate(20, 86_400, "recipient")),
    # The thousand a day are texts, not runs: the queue counts them.
    "1/s and 1000/day per tenant (defaults)": (Rate(1, 1, "tenant"),),
}
BEYOND = "commerce-handle-order-adjusted"
"""The one task of the example that the inventory does not know: its event is the example's own."""


def stated(task: dict[str, Any]) -> Any:
    return pytest.param(task, id=task["id"])


def on_request(shop: Shop, task_id: str) -> Task[Any]:
    return shop.tasks.get(f"{task_id}-on-request") or shop.tasks[task_id]


def test_the_copy_is_whole() -> None:
    assert len(INVENTORY) == 257
    assert sum("cron" in task for task in INVENTORY) == 127
    assert len({task["category"] for task in INVENTORY}) == 32


def test_no_task_is_missing_and_none_is_made_up(shop: Shop) -> None:
    ids = {task["id"] for task in INVENTORY}
    assert ids <= set(shop.tasks)
    beyond = set(shop.tasks) - ids - {BEYOND}
    assert all(task_id.endswith("-on-request") and task_id.removesuffix("-on-request") in ids for task_id in beyond)
    assert BEYOND in shop.tasks


def test_schedules_zones_and_categories_are_those_of_the_inventory(shop: Shop) -> None:
    for task in INVENTORY:
        made = shop.tasks[task["id"]]
        assert task["category"] in made.tags, task["id"]
        assert (made.schedule is not None) == (task["kind"] == "scheduled"), task["id"]
        if made.schedule is not None:
            assert made.schedule.cron.expression == task.get("cron", made.schedule.cron.expression), task["id"]
            assert made.schedule.cron.timezone == task.get("timezone", "UTC"), task["id"]


def test_retries_are_those_of_the_inventory(shop: Shop) -> None:
    for task in INVENTORY:
        retry = shop.tasks[task["id"]].retry
        for figure, value in task.get("retry", {}).items():
            assert getattr(retry, FIGURES[figure]) == value, (task["id"], figure)
        if "retry" not in task:
            assert (retry.max_attempts, retry.initial, retry.maximum, retry.factor) == (3, 1, 10, 2), task["id"]


def test_events_are_those_of_the_inventory(shop: Shop) -> None:
    for task in INVENTORY:
        if "event" in task:
            listener = on_request(shop, task["id"])
            assert listener.on is not None, task["id"]
            assert listener.on.event_name == task["event"], task["id"]


@pytest.mark.parametrize("task", [stated(task) for task in INVENTORY if "max_duration_s" in task])
def test_time_limits_are_those_of_the_inventory(shop: Shop, task: dict[str, Any]) -> None:
    assert shop.tasks[task["id"]].timeout == task["max_duration_s"]


@pytest.mark.parametrize("task", [stated(task) for task in INVENTORY if "concurrency" in task])
def test_concurrency_is_limited_per_tenant(shop: Shop, task: dict[str, Any]) -> None:
    (limit,) = shop.tasks[task["id"]].concurrency
    assert (limit.n, limit.per) == (task["concurrency"], "tenant")


@pytest.mark.parametrize("task", [stated(task) for task in INVENTORY if "rate_limit" in task])
def test_rates_are_those_of_the_inventory(shop: Shop, task: dict[str, Any]) -> None:
    assert set(RATES[task["rate_limit"]]) <= set(shop.tasks[task["id"]].rates)


def test_the_mail_vendors_pace_binds_the_task_that_calls_it(shop: Shop) -> None:
    assert Rate(1, 0.55, shared="mail-vendor") in shop.tasks["send-queued-review-email"].rates


def test_all_billing_tasks_of_a_tenant_exclude_each_other(shop: Shop) -> None:
    billing = [task for task in shop.tasks.values() if Limit(1, "tenant", shared="billing") in task.concurrency]
    assert {task.id for task in billing} == {task["id"] for task in INVENTORY if task.get("concurrency") == 1} | {
        "subscription-daily-billing-on-request"
    }


def test_a_request_for_a_scheduled_task_has_the_policies_of_its_schedule(shop: Shop) -> None:
    requests = [task for task in shop.tasks.values() if task.id.endswith("-on-request")]
    assert len(requests) == 26
    for request in requests:
        task = shop.tasks[request.id.removesuffix("-on-request")]
        assert request.on is not None
        assert (request.retry, request.timeout, request.tags, request.concurrency) == (
            task.retry,
            task.timeout,
            task.tags,
            task.concurrency,
        ), request.id


def test_many_tasks_of_many_categories_do_their_real_work(shop: Shop) -> None:
    real = Counter(task["category"] for task in INVENTORY if "simulated" not in shop.tasks[task["id"]].tags)
    assert sum(real.values()) >= 190
    assert len(real) >= 28


async def test_a_simulated_task_says_so_in_docstring_tag_and_log(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    simulated = [task for task in shop.tasks.values() if "simulated" in task.tags]
    assert simulated
    with caplog.at_level("INFO"):
        for task in simulated:
            assert (task.handler.__doc__ or "").startswith("Simulated: "), task.id
            await task(None, shop.ctx)
    assert [record.getMessage().startswith("simulated: ") for record in caplog.records] == [True] * len(simulated)
    for task in shop.tasks.values():
        assert "simulated" in task.tags or not (task.handler.__doc__ or "Simulated").startswith("Simulated"), task.id


def test_an_order_starts_four_runs_and_a_cancellation_two(shop: Shop) -> None:
    listeners = Counter(task.on.event_name for task in shop.tasks.values() if task.on is not None)
    assert (listeners["order.created"], listeners["order.cancelled"]) == (4, 2)
    assert listeners["commerce_example.order_adjusted"] == 1
