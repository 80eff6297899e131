"""``cgk jobs tenants limit``, ``usage``, ``export``, ``purge``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Command

SEND = ("jobs", "send", "shop.order_placed", "--tenant", "acme", "--data", '{"order_id": "o1"}')


def test_quotas_are_set_shown_and_lifted(shop: Path, run: Command) -> None:
    words = ("--queued", "1/2", "--payload-bytes", "1000", "--sends", "5/10/60")
    run("jobs", "tenants", "limit", "acme", *words)
    run(*SEND)
    run(*SEND)
    assert "its quota is 2" in run(*SEND, code=1).stderr
    found = json.loads(run("jobs", "tenants", "usage", "acme", "--json").stdout)
    assert [(one["name"], one["used"], one["soft"], one["hard"], one["seconds"], one["level"]) for one in found["quotas"]] == [
        ("queued", 2, 1, 2, None, "full"),
        ("payload_bytes", found["payload_bytes"], None, 1000, None, "ok"),
        ("sends", 2, 5, 10, 60.0, "ok"),
    ]  # fmt: skip
    assert "quota of queued\t2 of 1/2, 100%, full\n" in run("jobs", "tenants", "usage", "acme").stdout
    assert "quota of sends\t2 of 5/10 in 60 s, 20%, ok\n" in run("jobs", "tenants", "usage", "acme").stdout
    run("jobs", "tenants", "limit", "acme", "--queued", "none", "--sends", "800/-/60")
    changed = json.loads(run("jobs", "tenants", "limit", "acme", "--share", "none", "--json").stdout)
    assert [(one["name"], one["soft"], one["hard"]) for one in changed["quotas"]] == [
        ("payload_bytes", None, 1000), ("sends", 800, None),
    ]  # fmt: skip
    run(*SEND)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--queued", "many"], "for example 800/1000"),
        (["--queued", "20/10"], "soft at most hard"),
        (["--queued", "1/2/3"], "for example 800/1000"),
        (["--queued=-/-"], "give soft=, hard= or both"),
        (["--sends", "10"], "for example 900/1000/60"),
        (["--concurrency", "0"], "at least 1"),
        (["--concurrency", "a"], "for example 10"),
    ],
)
def test_limits_that_cannot_work_are_wrong_usage(folder: Path, run: Command, words: list[str], message: str) -> None:
    assert message in " ".join(run("jobs", "tenants", "limit", "acme", *words, code=2).stderr.split())


def test_an_export_goes_to_a_file_or_to_standard_output(shop: Path, run: Command) -> None:
    run(*SEND)
    assert run("jobs", "tenants", "export", "acme", "--to", "acme.jsonl").stdout == ""
    lines = (shop / "acme.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in (lines[0], lines[-1])] == ["header", "end"]
    shown = run("jobs", "tenants", "export", "acme", "--to", "-").stdout.splitlines()
    assert shown[1:] == lines[1:]
    told = json.loads(run("jobs", "tenants", "export", "acme", "--to", "acme.jsonl", "--json").stdout)
    assert told["rows"]["run"] == 1
    assert "can't be written" in run("jobs", "tenants", "export", "acme", "--to", "no/such/folder", code=2).stderr


def test_a_purge_is_confirmed(shop: Path, run: Command) -> None:
    run(*SEND)
    assert "--confirm acme" in run("jobs", "tenants", "purge", "acme", code=2).stderr
    assert "confirm it by its id" in run("jobs", "tenants", "purge", "acme", "--confirm", "acm", code=2).stderr
    assert "reserved" in run("jobs", "tenants", "purge", "platform", "--confirm", "platform", code=2).stderr
    found = json.loads(run("jobs", "tenants", "purge", "acme", "--confirm", "acme", "--json").stdout)
    assert (found["tenant_id"], found["rows"]["runs"], found["abandoned"]) == ("acme", 1, 0)
    assert "acme is purged: 0 rows" in run("jobs", "tenants", "purge", "acme", "--confirm", "acme").stderr
