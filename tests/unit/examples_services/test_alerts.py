from typing import Any

import pytest
from tests.unit.examples_services.bench import TENANT, Bench

from cgk_jobs.examples.commerce.tasks.alerts import ErrorReport, severity_of

REPORTS: list[tuple[str, dict[str, Any]]] = [
    ("system-error-alert", {"error": "KeyError", "component": "feed", "message": "x", "occurrences": 12}),
    ("security-alert", {"kind": "leaked_key", "subject": "key-1", "message": "x"}),
    ("api-failure-alert", {"service": "mail", "failures": 4, "message": "x"}),
    ("unusual-activity-alert", {"figure": "refunds", "value": 90, "usual": 5}),
]


@pytest.mark.parametrize(("task_id", "fields"), REPORTS)
async def test_a_subject_raises_one_alert_an_hour(bench: Bench, task_id: str, fields: dict[str, Any]) -> None:
    assert await bench.run(task_id, **fields)
    bench.clock.advance(1800)
    assert not await bench.run(task_id, **fields)
    assert len(bench.vendors.done(TENANT, "post")) == 1
    bench.clock.advance(1800)
    assert await bench.run(task_id, **fields)
    assert bench.value("SELECT count(*) FROM alerts") == 2


async def test_an_alert_that_was_not_posted_is_not_taken_for_known(bench: Bench) -> None:
    task_id, fields = REPORTS[0]
    bench.vendors.down, bench.vendors.loses_answers = {"chat"}, True
    with pytest.raises(Exception, match="chat is down"):
        await bench.run(task_id, **fields)
    assert bench.value("SELECT count(*) FROM alerts") == 0
    bench.vendors.down = set()
    assert await bench.run(task_id, **fields)
    assert len(bench.vendors.done(TENANT, "post")) == 1


@pytest.mark.parametrize(("component", "occurrences", "severity"), [
    ("feed", 1, "warning"), ("feed", 9, "warning"), ("feed", 10, "error"), ("feed", 99, "error"),
    ("feed", 100, "critical"), ("payouts", 1, "critical"), ("billing", 1, "critical"),
])  # fmt: skip
def test_severity_follows_component_and_frequency(component: str, occurrences: int, severity: str) -> None:
    report = ErrorReport(tenant_id=TENANT, error="E", component=component, message="", occurrences=occurrences)
    assert severity_of(report) == severity


async def test_a_page_needs_consent_and_wakes_a_person_once_per_incident(bench: Bench) -> None:
    bench.execute("INSERT INTO on_call VALUES ('+1yes', 'Ada', 1), ('+1no', 'Bob', 0)")
    incident = {"incident_id": "i1", "title": "Down", "message": "The shop does not answer"}
    assert await bench.run("critical-alert", recipient="+1yes", **incident)
    assert await bench.run("critical-alert", recipient="+1yes", **incident)
    assert not await bench.run("critical-alert", recipient="+1no", **incident)
    assert not await bench.run("critical-alert", recipient="+1unknown", **incident)
    assert [done.target for done in bench.vendors.done(TENANT, "text")] == ["+1yes"]
    assert [done.target for done in bench.vendors.done(TENANT, "post")] == ["#incidents"]


def test_nobody_is_texted_more_than_the_limits_say(bench: Bench) -> None:
    rates = {(rate.n, rate.seconds, rate.per) for rate in bench.tasks["critical-alert"].rates}
    assert rates == {(5, 3600, "recipient"), (20, 86_400, "recipient")}


async def test_submissions_are_flagged_from_500_dollars_on(bench: Bench) -> None:
    assert not await bench.run("high-value-submission-alert", submission_id="s1", creator_id="c1", value_cents=49_999)
    assert await bench.run("high-value-submission-alert", submission_id="s2", creator_id="c1", value_cents=50_005)
    assert bench.rows("SELECT severity, message FROM alerts") == [("info", "worth 500.05 USD")]


async def test_complaints_and_milestones_are_raised_once_for_good(bench: Bench) -> None:
    for _ in range(2):
        await bench.run("creator-complaint-alert", complaint_id="x", creator_id="c1", message="unpaid")
        await bench.run("milestone-alert", target="1000 orders", value="1,003")
        bench.clock.advance(86_400)
    assert bench.rows("SELECT alert_id, severity FROM alerts ORDER BY 1") == [
        ("complaint:x", "error"),
        ("milestone:1000 orders", "info"),
    ]
