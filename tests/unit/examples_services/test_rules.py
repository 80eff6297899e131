import pytest
from tests.unit.examples_services.bench import TENANT, Bench

CHANGED = {"workflow_id": "w1", "trigger_id": "t1", "entity_type": "project", "entity_id": "p1"}


def rule(bench: Bench, workflow_id: str = "w1", /, **columns: object) -> None:
    given = {
        "workflow_id": workflow_id,
        "entity_type": "project",
        "action_type": "post_message",
        "target": "#projects",
        **columns,
    }
    names = ", ".join(given)
    bench.execute(f"INSERT INTO rules ({names}) VALUES ({', '.join('?' * len(given))})", *given.values())


async def test_an_action_for_now_is_done_at_once_and_once(bench: Bench) -> None:
    rule(bench)
    for _ in range(2):
        assert await bench.run("workflow-engine", **CHANGED) == "w1:t1:p1"
    assert [done.detail for done in bench.vendors.done(TENANT, "post")] == ["Rule w1 fired"]
    assert bench.rows("SELECT state FROM rule_actions") == [("done",)]
    await bench.run("workflow-engine", **{**CHANGED, "trigger_id": "t2"})
    assert len(bench.vendors.done(TENANT, "post")) == 2


@pytest.mark.parametrize("columns", [{"active": 0}, {"entity_type": "order"}])
async def test_a_rule_that_is_off_or_about_something_else_does_nothing(
    bench: Bench, columns: dict[str, object]
) -> None:
    rule(bench, **columns)
    assert await bench.run("workflow-engine", **CHANGED) is None
    assert bench.value("SELECT count(*) FROM rule_executions") == 0


async def test_a_delayed_action_waits_for_its_time_unless_it_is_asked_for(bench: Bench) -> None:
    rule(bench, delay_seconds=600)
    await bench.run("workflow-engine", **CHANGED)
    await bench.run("workflow-engine", **{**CHANGED, "entity_id": "p2"})
    bench.clock.advance(599)
    assert await bench.run("workflow-process-scheduled-actions") == 0
    assert [await bench.run("flow-execution", execution_id="w1:t1:p2") for _ in range(2)] == [1, 0]
    bench.clock.advance(1)
    assert await bench.run("workflow-process-scheduled-actions") == 1
    assert await bench.run("workflow-process-scheduled-actions") == 0
    assert len(bench.vendors.done(TENANT, "post")) == 2


async def test_kinds_of_action(bench: Bench) -> None:
    bench.creator("c1")
    rule(bench, "alert", action_type="raise_alert", target="look")
    rule(bench, "mail", action_type="mail_creator", target="c1")
    rule(bench, "odd", action_type="launch_rocket", target="moon")
    for workflow_id in ("alert", "mail", "odd"):
        await bench.run("workflow-engine", **{**CHANGED, "workflow_id": workflow_id})
    assert bench.rows("SELECT message FROM alerts") == [("look",)]
    assert bench.rows("SELECT recipient FROM mails") == [("c1@example.com",)]
    assert bench.rows("SELECT state FROM rule_actions WHERE action_type = 'launch_rocket'") == [("refused",)]


async def test_a_request_for_due_actions_can_take_fewer(bench: Bench) -> None:
    rule(bench, delay_seconds=1)
    for number in range(3):
        await bench.run("workflow-engine", **{**CHANGED, "entity_id": f"p{number}"})
    bench.clock.advance(1)
    assert await bench.run("workflow-process-scheduled-actions-on-request", batch_size=2) == 2
    assert await bench.run("workflow-process-scheduled-actions-on-request") == 1


async def test_a_stay_in_a_state_fires_once_and_a_new_stay_again(bench: Bench) -> None:
    rule(bench, in_state="overdue", after_hours=24)
    bench.execute("INSERT INTO projects VALUES ('p1', 'c1', NULL, 'overdue', ?, NULL)", bench.now)
    bench.clock.advance(23 * 3600)
    assert await bench.run("workflow-check-time-elapsed-triggers") == 0
    bench.clock.advance(3600)
    assert await bench.run("workflow-check-time-elapsed-triggers-on-request", entity_type="order") == 0
    assert await bench.run("workflow-check-time-elapsed-triggers") == 1
    assert await bench.run("workflow-check-time-elapsed-triggers") == 0
    bench.execute("UPDATE projects SET state_at = ?", bench.now)
    bench.clock.advance(24 * 3600)
    assert await bench.run("workflow-check-time-elapsed-triggers-on-request", entity_type="project") == 1


async def test_a_long_stay_does_not_fire_again_once_its_record_is_deleted(bench: Bench) -> None:
    rule(bench, in_state="overdue", after_hours=24)
    bench.execute("INSERT INTO projects VALUES ('p1', 'c1', NULL, 'overdue', ?, NULL)", bench.now)
    bench.clock.advance(86_400)
    await bench.run("workflow-check-time-elapsed-triggers")
    bench.clock.advance(91 * 86_400)
    assert await bench.run("workflow-cleanup-execution-logs-on-request", retention_days=200) == 0
    assert await bench.run("workflow-cleanup-execution-logs") == 1
    assert bench.value("SELECT count(*) FROM rule_actions") == 0
    assert await bench.run("workflow-check-time-elapsed-triggers") == 0


async def test_snoozed_conversations_come_back(bench: Bench) -> None:
    bench.execute("INSERT INTO threads VALUES ('now', 'snoozed', ?)", bench.now)
    bench.execute("INSERT INTO threads VALUES ('later', 'snoozed', ?)", bench.now + 1)
    assert await bench.run("workflow-process-snoozed-threads") == 1
    assert bench.rows("SELECT thread_id FROM threads WHERE state = 'inbox'") == [("now",)]
