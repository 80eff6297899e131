"""The installation's own tasks: they cross over to the tenants, say so, and a tenant cannot."""

import logging

import pytest
from tests.unit.examples_services.bench import Bench, as_platform

from cgk_jobs import TenantMismatch, across_tenants, tenant_context
from cgk_jobs.examples.commerce.organizations import enrol, enrolled
from cgk_jobs.examples.commerce.tasks import monitoring, platform
from cgk_jobs.examples.commerce.vendors_probes import ProbeDouble


@pytest.fixture
def installation(application: Bench) -> Bench:
    """The application as new, with two organizations; no tenant is current."""
    application.reset()
    enrol(application.app.shops, ["acme", "blue"], application.now)
    enrol(application.app.shops, ["acme", "blue"], application.now)
    return application


def health_of(bench: Bench) -> dict[tuple[str, str], int]:
    return {(row[0], row[1]): row[2] for row in bench.rows("SELECT subject, service, healthy FROM health")}


async def test_the_grid_shows_which_tenants_are_late(installation: Bench, caplog: pytest.LogCaptureFixture) -> None:
    for tenant, hours in (("acme", 0.5), ("blue", 2)):
        with tenant_context(tenant):
            installation.execute(
                "INSERT INTO deliveries (delivery_id, endpoint, body, due_at) VALUES ('d', 'e', '', ?)",
                installation.ago(hours / 24),
            )
    with tenant_context("mail"):
        installation.execute(
            "INSERT INTO mails (mail_id, kind, recipient, template, reference, due_at) VALUES ('m', '', '', '', '', ?)",
            installation.ago(1),
        )
    enrol(installation.app.shops, ["mail", "idle"], installation.now)
    with caplog.at_level(logging.WARNING), as_platform():
        assert await installation.run("platform-health-check-matrix") == ["blue", "mail"]
        assert {subject: well for (subject, _), well in health_of(installation).items()} == {
            "acme": 1,
            "blue": 0,
            "idle": 1,
            "mail": 0,
        }
    assert "acting across tenants: health grid of all tenants" in caplog.text


@pytest.mark.parametrize(("minute", "probed"), [(1, 3), (5, 5), (10, 5), (15, 10), (0, 10)])
async def test_the_tier_that_is_due_is_probed(installation: Bench, minute: int, probed: int) -> None:
    installation.clock.set(installation.clock.now().replace(minute=minute))
    with as_platform():
        await installation.run("platform-health-checks")
        assert len(health_of(installation)) == probed


async def test_probes_note_what_is_down_and_that_it_is_up_again(installation: Bench) -> None:
    probe = ProbeDouble(["cache", "video"])
    tasks = {task.id: task for task in monitoring.tasks(installation.app, probe)}
    full, critical = tasks["ops-health-check-full"], tasks["ops-health-check-critical"]
    with as_platform():
        assert await installation.attempt(full, installation.tick(full.id)) == ["cache", "video"]
        probe.down.clear()
        assert await installation.attempt(critical, installation.tick(critical.id)) == []
        found = health_of(installation)
    assert found["platform", "cache"] == 1
    assert found["platform", "video"] == 0


async def test_a_request_for_a_check_is_answered_by_the_task_of_its_kind_in_the_tenant(installation: Bench) -> None:
    with tenant_context("acme"):
        assert await installation.run("ops-health-check-full-on-request", check_type="critical") is None
        assert await installation.run("ops-health-check-critical-on-request", check_type="full") is None
        assert await installation.run("ops-health-check-critical-on-request", check_type="critical") == []
        assert {subject for subject, _ in health_of(installation)} == {"acme"}
    with as_platform():
        assert health_of(installation) == {}


def line(bench: Bench, level: str, days: float) -> None:
    bench.execute("INSERT INTO log_lines VALUES (?, ?, '', ?)", f"{level}-{days}", level, bench.ago(days))


async def test_logs_of_every_tenant_are_purged_by_their_level(installation: Bench) -> None:
    for tenant in ("acme", "blue"):
        with tenant_context(tenant):
            for level, kept in (("debug", 3), ("info", 14), ("warning", 30), ("error", 90)):
                line(installation, level, kept - 1)
                line(installation, level, kept + 1)
    with as_platform():
        assert await installation.run("cleanup-platform-logs") == 8
        assert await installation.run("cleanup-platform-logs") == 0
    with tenant_context("blue"):
        assert installation.value("SELECT count(*) FROM log_lines") == 4


async def test_stale_rows_are_purged_everywhere_or_by_request_in_one_tenant(installation: Bench) -> None:
    for tenant in ("acme", "blue"):
        with tenant_context(tenant):
            for kind, days in (("session", 31), ("session", 29), ("cache", 8), ("temp", 2), ("temp", 0.5)):
                installation.execute(
                    "INSERT INTO stale_rows VALUES (?, ?, ?)", f"{kind}{days}", kind, installation.ago(days)
                )
    with tenant_context("acme"):
        assert await installation.run("ops-cleanup-on-request", target="sessions") == 1
        assert await installation.run("ops-cleanup-on-request", target="temp", older_than_days=1) == 1
        assert await installation.run("ops-cleanup-on-request", target="temp", older_than_days=0) == 1
        assert await installation.run("ops-cleanup-on-request", target="logs") == 0
    with as_platform():
        assert await installation.run("ops-cleanup") == 4
    with tenant_context("blue"):
        assert installation.value("SELECT count(*) FROM stale_rows") == 2


async def test_an_explicit_age_of_logs_replaces_that_of_every_level(installation: Bench) -> None:
    with tenant_context("acme"):
        line(installation, "error", 2)
        assert await installation.run("ops-cleanup-on-request", target="logs", older_than_days=1) == 1


async def test_credentials_of_a_departed_shop_go_unless_it_came_back(installation: Bench) -> None:
    with tenant_context("acme"):
        for service, account, days in (("shop", "a.example", 9), ("mail", "a.example", 1), ("ads", "b.example", 9)):
            installation.execute(
                "INSERT INTO connections VALUES (?, ?, 'secret', ?)", service, account, installation.ago(days)
            )
        left_at = installation.clock.now().replace(day=2)
        gone = {"shop_domain": "a.example", "uninstalled_at": left_at}
        assert await installation.run("connection-cleanup", **gone) == 1
        assert await installation.run("connection-cleanup", **gone) == 0
        assert installation.rows("SELECT service FROM connections ORDER BY 1") == [("ads",), ("mail",)]
        assert await installation.run("connection-cleanup", shop_domain="a.example") == 1


async def test_a_tenant_sees_neither_the_list_of_organizations_nor_other_tenants(installation: Bench) -> None:
    with tenant_context("acme"), pytest.raises(TenantMismatch):
        enrolled(installation.app.shops)
    with across_tenants(reason="test"):
        assert enrolled(installation.app.shops) == ["acme", "blue"]


async def test_the_platform_itself_reaches_a_tenant_only_across_tenants(installation: Bench) -> None:
    with as_platform(), pytest.raises(TenantMismatch):
        installation.app.shops.of("acme")
    tasks = {task.id: task for task in platform.tasks(installation.app)}
    with tenant_context("acme"):
        installation.execute("INSERT INTO stale_rows VALUES ('r', 'temp', 0)")
    with as_platform():
        assert await installation.attempt(tasks["ops-cleanup"], installation.tick("ops-cleanup")) == 1
