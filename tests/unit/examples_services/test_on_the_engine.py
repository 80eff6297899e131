"""The same tasks as the engine runs them: retries, sleeps, schedules for each tenant and for the installation."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from tests.unit.examples_services.bench import SERVICES, Bench, as_platform

from cgk_jobs import tenant_context
from cgk_jobs.events.catalogue.creators import CreatorApplied, CreatorApproved, CreatorBulkSendStarted
from cgk_jobs.events.catalogue.esign import EsignDocumentChanged
from cgk_jobs.examples.commerce import Commerce
from cgk_jobs.examples.commerce.organizations import enrol
from cgk_jobs.examples.commerce.tasks import CATEGORIES
from cgk_jobs.runs import Run
from cgk_jobs.testing import JobsHarness

START = datetime(2026, 3, 4, 11, 59, tzinfo=UTC)


class Installation:
    """An installation of two tenants on the engine; ``bench`` reaches into the current tenant's database."""

    def __init__(self) -> None:
        self.harness = JobsHarness(start=START)
        self.bench = Bench(self.harness.clock)
        app: Commerce = self.bench.app
        for name in SERVICES:
            self.harness.jobs.include(CATEGORIES[name](app))

    async def open(self) -> None:
        for tenant in ("acme", "blue"):
            await self.harness.jobs.tenants.add(tenant)
        enrol(self.bench.app.shops, ["acme", "blue"], self.bench.now)


@pytest.fixture
def installation() -> Iterator[Installation]:
    made = Installation()
    try:
        yield made
    finally:
        made.harness.close()
        made.bench.close()


async def test_an_applicant_becomes_a_creator_and_gets_the_first_mail_with_the_next_tick(
    installation: Installation,
) -> None:
    await installation.open()
    jobs, bench = installation.harness.jobs, installation.bench
    await jobs.send(
        CreatorApplied(tenant_id="acme", creator_id="c1", application_id="a1", email="ada@example.com"), key="a1"
    )
    await installation.harness.drain(raise_failures=True)
    await jobs.send(CreatorApproved(tenant_id="acme", creator_id="c1"))
    installation.harness.clock.advance(timedelta(minutes=1))
    await installation.harness.drain(raise_failures=True)
    installation.harness.clock.advance(timedelta(minutes=5))
    await installation.harness.drain(raise_failures=True)
    assert sorted(done.detail for done in bench.vendors.done("acme", "mail")) == [
        "application-approved c1",
        "welcome-1 c1",
    ]
    assert bench.vendors.done("blue", "mail") == []
    installation.harness.assert_no_tenant_leaks()


async def test_a_bulk_send_whose_worker_dies_mails_everybody_once(installation: Installation) -> None:
    await installation.open()
    bench = installation.bench
    with tenant_context("acme"):
        bench.execute("INSERT INTO bulk_sends VALUES ('b1', 'creator', 'news', 'draft', NULL)")
        for number in range(250):
            bench.execute("INSERT INTO bulk_recipients VALUES ('b1', ?, NULL)", f"r{number}@x")
    task = next(task for task in installation.harness.jobs if task.id == "process-creator-bulk-send")
    installation.harness.crash_at_step(task, 2, moment="before")
    await installation.harness.jobs.send(CreatorBulkSendStarted(tenant_id="acme", bulk_send_id="b1"))
    await installation.harness.drain(with_scheduled=True, raise_failures=True)
    assert len(bench.vendors.done("acme", "mail")) == 250
    (run,) = await _runs_of(installation, "process-creator-bulk-send")
    assert run.state == "completed"


async def test_a_callback_is_repeated_by_the_schedule_until_the_subscriber_answers(
    installation: Installation,
) -> None:
    await installation.open()
    bench = installation.bench
    with tenant_context("acme"):
        bench.execute("INSERT INTO webhook_subscribers VALUES ('https://x', 'document.signed')")
    bench.vendors.down = {"webhook"}
    await installation.harness.jobs.send(EsignDocumentChanged(tenant_id="acme", document_id="d", change="signed"))
    await installation.harness.drain(raise_failures=True)
    bench.vendors.down = set()
    installation.harness.clock.advance(timedelta(minutes=8))
    await installation.harness.drain(raise_failures=True)
    assert len(bench.vendors.done("acme", "deliver")) == 1


async def test_a_quarter_of_an_hour_of_all_schedules_leaves_nothing_failed(installation: Installation) -> None:
    await installation.open()
    for _ in range(16):
        installation.harness.clock.advance(timedelta(minutes=1))
        drained = await installation.harness.drain(raise_failures=True)
        assert not drained.retrying
    with as_platform():
        assert {row[0] for row in installation.bench.rows("SELECT subject FROM health")} == {
            "acme",
            "blue",
            "platform",
        }
    for tenant in ("acme", "blue"):
        ticks = [run for run in await installation.harness.runs_of(tenant) if run.task == "webhook-process-queue"]
        assert len(ticks) == 4


async def _runs_of(installation: Installation, task_id: str) -> list[Run]:
    return [run for run in await installation.harness.runs_of("acme") if run.task == task_id]
