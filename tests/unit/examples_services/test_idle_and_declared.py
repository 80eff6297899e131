"""What holds for all tasks of the services: nothing to do writes nothing, and chosen times are used and distinct."""

from collections import Counter

import pytest
from tests.unit.examples_services.bench import SERVICES, Bench

from cgk_jobs.examples.commerce.chosen_times import CHOSEN_TIMES
from cgk_jobs.tasks.schedule import Cron


async def test_a_schedule_that_finds_nothing_to_do_writes_nothing_and_calls_nobody(bench: Bench) -> None:
    ran = 0
    for task in bench.tasks.values():
        mine = SERVICES & set(task.tags) and "simulated" not in task.tags
        if not mine or task.schedule is None or task.schedule.tenants != "each":
            continue
        if task.id == "google-feed-scheduled-sync":
            await bench.run(task.id)  # a feed that was never built is something to do
        before = bench.changes()
        await bench.run(task.id)
        assert bench.changes() == before, f"{task.id} wrote"
        ran += 1
    assert ran > 40
    assert not bench.vendors.calls_seen


def test_only_the_installation_wide_tasks_run_as_platform(bench: Bench) -> None:
    platform = {task.id for task in bench.tasks.values() if task.schedule and task.schedule.tenants == "platform"}
    assert platform & {task.id for task in bench.tasks.values() if SERVICES & set(task.tags)} == {
        "platform-health-check-matrix",
        "platform-health-checks",
        "cleanup-platform-logs",
        "ops-cleanup",
        "ops-health-check-full",
        "ops-health-check-critical",
    }


def test_a_chosen_time_is_that_of_its_task_and_of_no_other(bench: Bench) -> None:
    for task_id, expression in CHOSEN_TIMES.items():
        schedule = bench.tasks[task_id].schedule
        assert schedule is not None
        assert schedule.cron == Cron(expression)
    assert max(Counter(CHOSEN_TIMES.values()).values()) == 1


def test_the_request_for_a_scheduled_task_has_the_policies_of_its_schedule(bench: Bench) -> None:
    requests = [task for task in bench.tasks.values() if task.id.endswith("-on-request") and SERVICES & set(task.tags)]
    assert len(requests) == 17
    for request in requests:
        task = bench.tasks[request.id.removesuffix("-on-request")]
        assert (request.retry, request.timeout, request.tags) == (task.retry, task.timeout, task.tags)
        assert request.on is not None
        assert task.schedule is not None


@pytest.mark.parametrize("task_id", ["klaviyo-sync", "bri-data-process", "video-transcription"])
async def test_a_simulated_task_says_so(bench: Bench, task_id: str) -> None:
    task = bench.tasks[task_id]
    assert "simulated" in task.tags
    assert (task.handler.__doc__ or "").startswith("Simulated: ")
