"""What holds for all of these tasks: nothing to do writes nothing, and a request is treated as its schedule is."""

from tests.unit.examples_services.bench import Bench

MONEY = {"subscriptions", "gift-cards", "recovery"}


async def test_a_schedule_that_finds_nothing_to_do_writes_nothing_and_calls_nobody(bench: Bench) -> None:
    schedules = [task for task in bench.tasks.values() if task.schedule and MONEY & set(task.tags)]
    assert len(schedules) == 9
    for task in schedules:
        before = bench.changes()
        if "simulated" not in task.tags:
            await bench.run(task.id)
        assert bench.changes() == before, f"{task.id} wrote"
        assert task.schedule is not None
        assert task.schedule.tenants == "each"
    assert not bench.vendors.calls_seen


def test_the_request_for_a_scheduled_task_has_the_policies_of_its_schedule(bench: Bench) -> None:
    requests = [task for task in bench.tasks.values() if task.id.endswith("-on-request") and MONEY & set(task.tags)]
    assert len(requests) == 4
    for request in requests:
        task = bench.tasks[request.id.removesuffix("-on-request")]
        assert (request.retry, request.timeout, request.concurrency, request.tags) == (
            task.retry,
            task.timeout,
            task.concurrency,
            task.tags,
        )


def test_all_that_charges_subscriptions_shares_one_place_per_tenant(bench: Bench) -> None:
    billing = [task for task in bench.tasks.values() if "billing" in task.id and "subscriptions" in task.tags]
    assert len(billing) == 6
    (limit,) = {task.concurrency for task in billing}
    assert [(one.n, one.per, one.shared) for one in limit] == [(1, "tenant", "billing")]
