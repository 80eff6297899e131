"""The commands that act: sending, retrying, cancelling, pausing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.conftest import Command

SEND = ("jobs", "send", "shop.order_placed", "--tenant", "acme")
Worked = Callable[[], None]


def send(run: Command, order: str, *words: str) -> str:
    return run(*SEND, "--data", json.dumps({"order_id": order}), *words).stdout.strip()


def show(run: Command, run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("jobs", "show", run_id, "--all-tenants", "--json").stdout)
    return found


def test_send_stores_what_its_options_say(shop: Path, run: Command) -> None:
    found = show(run, send(run, "o1", "--delay", "60", "--priority", "7", "--tag", "a", "--tag", "b"))
    assert (found["state"], found["priority"], sorted(found["tags"])) == ("scheduled", 7, ["a", "b", "orders"])
    assert found["due_at"] > found["created_at"]


def test_data_comes_from_a_file_or_stdin_too(shop: Path, run: Command) -> None:
    (shop / "order.json").write_text('{"order_id": "from a file"}')
    by_file = run(*SEND, "--data", "@order.json").stdout.strip()
    by_stdin = run(*SEND, "--data", "-", stdin='{"order_id": "from stdin"}').stdout.strip()
    assert show(run, by_file)["payload"]["order_id"] == "from a file"
    assert show(run, by_stdin)["payload"]["order_id"] == "from stdin"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "{"], "this is no JSON"),
        (["--data", "[1]"], "one JSON object"),
        (["--data", "@nowhere.json"], "can't read nowhere.json"),
        (["--data", '{"order_id": 5}'], "order_id"),
        (["--data", '{"order_id": "a", "more": 1}'], "more is not a field"),
        (["--data", '{"order_id": "a", "tenant_id": "bolt"}'], "another than --tenant acme"),
        (["--data", '{"order_id": "a"}', "--timeout", "3"], "goes with --wait"),
        (["--data", '{"order_id": "a"}', "--priority", "101"], "priority"),
    ],
)
def test_what_does_not_fit_is_wrong_usage(shop: Path, run: Command, words: list[str], message: str) -> None:
    assert message in run(*SEND, *words, code=2).stderr


def test_send_needs_a_tenant_and_an_event_there_is(shop: Path, run: Command) -> None:
    assert "--tenant" in run("jobs", "send", "shop.order_placed", code=2).stderr
    assert "reserved" in run("jobs", "send", "shop.order_placed", "--tenant", "platform", code=2).stderr
    assert "no event 'nonsense'" in run("jobs", "send", "nonsense", "--tenant", "acme", code=2).stderr


def test_a_key_makes_one_run(shop: Path, run: Command) -> None:
    first = send(run, "o1", "--key", "k")
    again = run(*SEND, "--data", '{"order_id": "o1"}', "--key", "k")
    assert again.stdout.strip() == first
    assert "Sent before" in again.stderr
    assert "k" in run(*SEND, "--data", '{"order_id": "o2"}', "--key", "k", code=1).stderr


def test_an_event_nobody_listens_to_is_stored_and_said_so(folder: Path, run: Command) -> None:
    data = json.dumps({"target": "logs"})
    sent = run("jobs", "send", "system.cleanup", "--tenant", "acme", "--data", data)
    assert "no task listens" in sent.stderr
    assert sent.stdout == ""


def test_wait_without_workers_says_so_and_gives_up(shop: Path, run: Command) -> None:
    waited = run(*SEND, "--data", '{"order_id": "o1"}', "--wait", "--timeout", "0", "--json", code=1)
    assert "No worker is running" in waited.stderr
    assert json.loads(waited.stdout)["runs"][0]["state"] is None


def test_wait_prints_the_result_of_a_run_that_has_ended(shop: Path, run: Command, worked: Worked) -> None:
    words = [*SEND, "--data", '{"order_id": "o1", "total_cents": 9999}', "--key", "k"]
    run_id = run(*words).stdout.strip()
    worked()
    assert run(*words, "--wait").stdout == f"{run_id}\t9999\n"
    assert json.loads(run(*words, "--wait", "--json").stdout)["runs"] == [
        {"id": run_id, "state": "completed", "result": 9999}
    ]


def test_wait_for_a_run_that_fails_is_a_failure(shop: Path, run: Command, worked: Worked) -> None:
    words = [*SEND, "--data", '{"order_id": "bad"}', "--key", "k"]
    run(*words)
    worked()
    waited = run(*words, "--wait", "--json", code=1)
    assert json.loads(waited.stdout)["runs"][0]["state"] == "failed"
    assert "no such order" in waited.stderr


def test_a_failed_run_is_retried_and_others_are_not(shop: Path, run: Command, worked: Worked) -> None:
    failed, good = send(run, "bad"), send(run, "good")
    worked()
    assert json.loads(run("jobs", "retry", failed, "--tenant", "acme", "--json").stdout) == {"retried": failed}
    assert show(run, failed)["state"] == "queued"
    assert "replay makes a new run" in run("jobs", "retry", good, "--tenant", "acme", code=1).stderr


def test_replay_makes_a_new_run(shop: Path, run: Command, worked: Worked) -> None:
    old = send(run, "good")
    worked()
    new = run("jobs", "replay", old, "--tenant", "acme").stdout.strip()
    assert new != old
    assert show(run, new)["payload"] == show(run, old)["payload"]
    assert show(run, new)["state"] == "queued"
    assert "no finished step" in run("jobs", "replay", old, "--tenant", "acme", "--from-step", "x", code=2).stderr
    found = json.loads(run("jobs", "replay", old, "--tenant", "acme", "--from-step", "fetch", "--json").stdout)
    assert (found["replayed"], found["run"]["state"]) == (old, "queued")


def test_cancel_takes_one_or_a_tag_of_one_tenant(shop: Path, run: Command) -> None:
    one = send(run, "o1")
    send(run, "o2", "--tag", "sequence")
    other = run(
        "jobs", "send", "shop.order_placed", "--tenant", "bolt", "--data", '{"order_id": "o"}', "--tag", "sequence"
    ).stdout.strip()
    assert run("jobs", "cancel", one, "--tenant", "acme").stdout == "1\n"
    assert json.loads(run("jobs", "cancel", "--tag", "sequence", "--tenant", "acme", "--json").stdout) == {
        "cancelled": 1
    }
    assert show(run, other)["state"] == "queued"
    assert run("jobs", "cancel", "--tag", "sequence", "--all-tenants").stdout == "1\n"
    assert run("jobs", "cancel", "--tag", "sequence", "--all-tenants").stdout == "0\n"
    assert "name one RUN" in run("jobs", "cancel", "--tenant", "acme", code=2).stderr
    assert "name one RUN" in run("jobs", "cancel", one, "--tag", "x", "--tenant", "acme", code=2).stderr


def test_a_schedule_is_paused_resumed_and_triggered(shop: Path, run: Command) -> None:
    run("jobs", "schedules", "pause", "hourly")
    assert json.loads(run("jobs", "schedules", "list", "--json").stdout)["schedules"][0]["paused"] is True
    assert json.loads(run("jobs", "schedules", "resume", "hourly", "--json").stdout)["paused"] is False
    assert json.loads(run("jobs", "schedules", "list", "--json").stdout)["schedules"][0]["paused"] is False
    assert "--all-tenants" in run("jobs", "schedules", "trigger", "hourly", code=2).stderr
    assert "no active tenant" in run("jobs", "schedules", "trigger", "hourly", "--all-tenants", code=3).stderr
    run_id = run("jobs", "schedules", "trigger", "hourly", "--tenant", "acme").stdout.strip()
    found = show(run, run_id)
    assert (found["task"], found["tenant_id"], found["state"]) == ("hourly", "acme", "queued")
    # The payload of a tick holds nothing of the application's: it is shown.
    assert found["payload"]["timezone"] == "America/New_York"
    assert "sync-order has no schedule" in run("jobs", "schedules", "pause", "sync-order", code=2).stderr


def test_tenants_are_added_limited_paused_and_removed(folder: Path, run: Command) -> None:
    run("jobs", "tenants", "add", "acme", "--timezone", "Europe/Berlin", "--share", "2")
    run("jobs", "tenants", "limit", "acme", "--concurrency", "3", "--rate", "100/60")
    run("jobs", "tenants", "pause", "acme")
    (found,) = json.loads(run("jobs", "tenants", "--json").stdout)["tenants"]
    assert (found["id"], found["added"], found["timezone"], found["weight"]) == ("acme", True, "Europe/Berlin", 2)
    assert (found["concurrency"], found["rate"]["n"], found["rate"]["seconds"], found["paused"]) == (3, 100, 60, True)
    assert run("jobs", "tenants").stdout.split("\t")[:7] == ["acme", "yes", "Europe/Berlin", "2", "3", "100 in 60 s", "paused"]  # fmt: skip
    run("jobs", "tenants", "resume", "acme")
    run("jobs", "tenants", "remove", "acme")
    changed = json.loads(run("jobs", "tenants", "limit", "acme", "--unlimited", "--json").stdout)
    assert (changed["concurrency"], changed["rate"], changed["paused"], changed["added"]) == (None, None, False, False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["add", "Not Valid"], "is not valid"),
        (["add", "acme", "--timezone", "Mars/Base"], "Mars/Base"),
        (["limit", "acme"], "nothing to change"),
        (["limit", "acme", "--rate", "many"], "100/60"),
        (["limit", "acme", "--share", "0"], "share"),
    ],
)
def test_wrong_tenant_settings_are_wrong_usage(folder: Path, run: Command, words: list[str], message: str) -> None:
    assert message in run("jobs", "tenants", *words, code=2).stderr


def test_usage_counts_a_tenants_runs(shop: Path, run: Command, worked: Worked) -> None:
    send(run, "o1")
    worked()
    send(run, "o2")
    found = json.loads(run("jobs", "tenants", "usage", "acme", "--json").stdout)
    assert (found["tenant"], found["states"], found["unfinished"]) == ("acme", {"completed": 1, "queued": 1}, 1)
    assert run("jobs", "tenants", "usage", "acme").stdout.startswith("completed\t1\nqueued\t1\nunfinished\t1\n")


def test_queues_are_listed_paused_and_resumed(shop: Path, run: Command) -> None:
    send(run, "o1")
    assert json.loads(run("jobs", "queues", "--json").stdout)["queues"] == [
        {"name": "default", "tasks": 2, "paused": False}
    ]
    assert run("jobs", "queues", "pause", "default").stdout == ""
    assert "No task of a process that started uses queue typo" in run("jobs", "queues", "pause", "typo").stderr
    assert run("jobs", "queues", "paused").stdout.split() == ["default", "typo"]
    run("jobs", "queues", "resume", "typo")
    assert json.loads(run("jobs", "queues", "paused", "--json").stdout) == {"paused": ["default"]}
    assert run("jobs", "queues").stdout == "default\t2\tpaused\n"


def test_dev_refuses_the_page_it_does_not_have(shop: Path, run: Command) -> None:
    assert "--port (the page) is not supported" in run("jobs", "dev", "--port", "8288", code=2).stderr


@pytest.mark.parametrize("command", ["dev", "work", "schedules"])
def test_an_application_is_needed(folder: Path, run: Command, command: str) -> None:
    assert "[tool.cgk-jobs] app" in run("jobs", command, code=3).stderr


def test_work_refuses_a_queue_no_task_has(shop: Path, run: Command) -> None:
    assert "no task uses queue 'mails'; there are: default" in run("jobs", "work", "--queues", "mails", code=2).stderr
    assert "at least one queue" in run("jobs", "work", "--queues", " , ", code=2).stderr


def test_the_demo_refuses_what_it_cannot_do(folder: Path, run: Command) -> None:
    (folder / "full").mkdir()
    (folder / "full" / "x").touch()
    assert "is not empty" in run("jobs", "demo", "--folder", "full", code=2).stderr
    assert "there are " in run("jobs", "demo", "--tenant", "atlantis", code=2).stderr
