"""The commands that read: filters, pages, whose runs, what is masked."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.conftest import APP, Command, Terminal

Worked = Callable[[], None]


@pytest.fixture
def three(shop: Path, run: Command, worked: Worked) -> list[str]:
    """Runs of acme (completed), bolt (failed) and acme (scheduled), as they were sent."""
    ids = [
        run("jobs", "send", "shop.order_placed", "--tenant", tenant, "--data", json.dumps({"order_id": order})).stdout
        for tenant, order in (("acme", "o1"), ("bolt", "bad2"))
    ]
    worked()
    ids.append(
        run("jobs", "send", "shop.order_placed", "--tenant", "acme", "--data", '{"order_id":"o3"}', "--delay", "3600", "--tag", "x").stdout
    )  # fmt: skip
    return [one.strip() for one in ids]


def listed(run: Command, *words: str) -> list[str]:
    return [one["id"] for one in json.loads(run("jobs", "runs", "--json", *words).stdout)["runs"]]


def test_runs_are_listed_newest_first(three: list[str], run: Command) -> None:
    assert listed(run, "--all-tenants") == three[::-1]
    rows = [line.split("\t") for line in run("jobs", "runs", "--all-tenants").stdout.splitlines()]
    assert [row[:4] for row in rows] == [
        [three[2], "acme", "sync-order", "scheduled"],
        [three[1], "bolt", "sync-order", "failed"],
        [three[0], "acme", "sync-order", "completed"],
    ]
    assert rows[1][-1] == "ValueError: no such order \\x1b[31mbad2"


FILTERS: list[tuple[list[str], list[int]]] = [
    (["--tenant", "acme"], [2, 0]),
    (["--tenant", "nobody"], []),
    (["--all-tenants", "--state", "failed"], [1]),
    (["--all-tenants", "--task", "sync-order"], [2, 1, 0]),
    (["--all-tenants", "--task", "other"], []),
    (["--all-tenants", "--event", "shop.order_placed"], [2, 1, 0]),
    (["--all-tenants", "--tag", "x"], [2]),
    (["--all-tenants", "--tag", "orders"], [2, 1, 0]),
    (["--all-tenants", "--queue", "default"], [2, 1, 0]),
    (["--all-tenants", "--since", "1h"], [2, 1, 0]),
    (["--all-tenants", "--since", "2100-01-01"], []),
    (["--all-tenants", "--limit", "1"], [2]),
]


def test_filters(three: list[str], run: Command) -> None:
    for words, places in FILTERS:
        assert listed(run, *words) == [three[at] for at in places], words


def test_pages_lead_on(three: list[str], run: Command) -> None:
    first = run("jobs", "runs", "--all-tenants", "--limit", "2")
    cursor = first.stderr.split("--cursor ")[1].strip()
    assert [line.split("\t")[0] for line in first.stdout.splitlines()] == three[:0:-1]
    last = json.loads(run("jobs", "runs", "--all-tenants", "--cursor", cursor, "--json").stdout)
    assert ([one["id"] for one in last["runs"]], last["next_cursor"]) == (three[:1], None)


def test_a_moment_that_is_none_is_wrong_usage(three: list[str], run: Command) -> None:
    for value in ("yesterday", "5 fortnights"):
        assert "(90s, 30m, 2h, 7d)" in run("jobs", "runs", "--all-tenants", "--since", value, code=2).stderr


@pytest.mark.parametrize("words", [["runs"], ["show", "x"], ["retry", "x"], ["replay", "x"], ["cancel", "x"]])
def test_nothing_is_read_or_done_without_saying_for_whom(shop: Path, run: Command, words: list[str]) -> None:
    assert "--tenant TENANT, or --all-tenants" in run("jobs", *words, code=2).stderr
    assert not (shop / ".cgk").exists()
    assert "exclude each other" in run("jobs", *words, "--tenant", "a", "--all-tenants", code=2).stderr


def test_a_run_of_another_tenant_is_not_there(three: list[str], run: Command) -> None:
    for command in ("show", "retry", "replay", "cancel"):
        assert "there is no run" in run("jobs", command, three[1], "--tenant", "acme", code=1).stderr


def test_show_tells_the_whole_run(three: list[str], run: Command) -> None:
    found: dict[str, Any] = json.loads(run("jobs", "show", three[1], "--tenant", "bolt", "--json").stdout)
    assert (found["id"], found["tenant_id"], found["state"], found["tags"]) == (three[1], "bolt", "failed", ["orders"])
    assert [(step["name"], step["result"]) for step in found["steps"]] == [("fetch", 4)]
    assert [line["message"] for line in found["log"]] == ["syncing bad2"]
    assert found["attempts"][0]["error"] == "ValueError: no such order \x1b[31mbad2"
    created = datetime.fromisoformat(found["created_at"])
    assert found["created_at"].endswith("Z")
    plain = run("jobs", "show", three[1], "--tenant", "bolt").stdout
    assert f"created\t{created.astimezone().isoformat(timespec='seconds')}\n" in plain
    assert "\x1b" not in plain
    assert "steps\tfetch\t" in plain
    assert "log\t" in plain


def test_secrets_are_masked_unless_asked_for(three: list[str], run: Command) -> None:
    for words in ([], ["--app", APP]):
        found = json.loads(run("jobs", "show", three[0], "--tenant", "acme", "--json", *words).stdout)
        assert found["payload"] == {"tenant_id": "acme", "order_id": "o1", "total_cents": 0, "token": "********"}
    assert "s3cret" not in run("jobs", "show", three[0], "--tenant", "acme").stdout
    raw = json.loads(run("jobs", "show", three[0], "--tenant", "acme", "--json", "--raw").stdout)
    assert raw["payload"]["token"] == "s3cret"


def test_a_payload_nobody_can_mask_is_hidden(three: list[str], shop: Path, run: Command) -> None:
    (shop / "pyproject.toml").write_text("")
    shown = run("jobs", "show", three[0], "--tenant", "acme").stdout
    assert "payload\thidden" in shown
    assert "s3cret" not in shown
    assert json.loads(run("jobs", "show", three[0], "--tenant", "acme", "--json").stdout)["payload"] is None


def test_a_missing_ledger_is_not_made_by_reading(folder: Path, run: Command) -> None:
    assert "there is no ledger" in run("jobs", "runs", "--all-tenants", code=3).stderr
    assert not (folder / ".cgk").exists()


def test_schedules_are_listed_the_next_first(shop: Path, run: Command) -> None:
    (found,) = json.loads(run("jobs", "schedules", "--json").stdout)["schedules"]
    assert (found["id"], found["expression"], found["timezone"]) == ("hourly", "15 * * * *", "America/New_York")
    assert run("jobs", "schedules").stdout.split("\t")[:2] == ["hourly", "15 * * * *"]
    moments = json.loads(run("jobs", "schedules", "next", "hourly", "-n", "3", "--json").stdout)["next"]
    assert [moment[14:] for moment in moments] == ["15:00Z"] * 3
    assert len(run("jobs", "schedules", "next", "hourly", "-n", "2").stdout.splitlines()) == 2
    assert "there is no task 'daily'" in run("jobs", "schedules", "next", "daily", code=2).stderr


def test_events_are_listed_and_described(shop: Path, run: Command) -> None:
    rows = run("jobs", "events").stdout.splitlines()
    assert rows[0] == "shop.order_placed\tapplication"
    assert "order.created\tcommerce" in rows
    found = json.loads(run("jobs", "events", "--json").stdout)
    assert found["application"] == ["shop.order_placed"]
    assert "order.created" in found["catalogue"]["commerce"]
    schema = json.loads(run("jobs", "events", "shop.order_placed").stdout)
    assert schema["x-event-name"] == "shop.order_placed"
    assert json.loads(run("jobs", "events", "order.created").stdout)["x-event-name"] == "order.created"
    assert "Did you mean 'order.created'" in run("jobs", "events", "order.create", code=2).stderr


def test_the_catalogue_needs_no_application(folder: Path, run: Command) -> None:
    assert json.loads(run("jobs", "events", "--json").stdout)["application"] == []


def test_providers_say_what_the_code_says(folder: Path, run: Command) -> None:
    found = json.loads(run("jobs", "providers", "--json").stdout)["providers"]
    assert found["embedded"]["available"] is True
    assert found["embedded"]["capabilities"]["transactional_send"] is False
    assert found["vercel_cron"]["capabilities"]["wakes"] == "clock"
    assert len(found) == 7
    assert not (folder / ".cgk").exists()


def test_the_schema_is_printed_and_checked(three: list[str], shop: Path, run: Command) -> None:
    assert "CREATE TABLE runs" in run("jobs", "schema", "print").stdout
    found = json.loads(run("jobs", "schema", "check", "--json").stdout)
    assert found["intact"] is True
    assert found["version"] == found["wanted"]
    path = shop / ".cgk" / "jobs.db"
    path.write_bytes(b"not a database, whatever its name may say" * 20)
    assert "can't be read" in run("jobs", "schema", "check", code=3).stderr
    path.unlink()
    assert "there is no ledger" in run("jobs", "schema", "check", code=3).stderr


def test_a_terminal_gets_a_head_and_colours(three: list[str], run: Command, terminal: Terminal) -> None:
    terminal(120)
    out = run("jobs", "runs", "--all-tenants").output
    assert out.startswith("\x1b[1mRUN ")
    assert "\x1b[31mfailed" in out
    assert "\x1b[1mlog" not in out
    shown = run("jobs", "show", three[1], "--tenant", "bolt").output
    assert "STEP" in shown
    assert "syncing bad2" in shown
    terminal(120, NO_COLOR="1")
    assert "\x1b" not in run("jobs", "runs", "--all-tenants").output
