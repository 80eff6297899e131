"""``cgk jobs migrate``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.servers.redis import RedisServer

from cgk_jobs.cli.main import cgk

APP = '''
from cgk_jobs import Event, Jobs

jobs = Jobs()


class Moved(Event, name="cli.moved"):
    number: int = 0


@jobs.task(on=Moved)
async def note(event: Moved) -> None:
    """Nothing."""
'''


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").write_text('[tool.cgk-jobs]\napp = "moving_shop:jobs"\n')
    (tmp_path / "moving_shop.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "moving_shop", raising=False)
    sent = CliRunner().invoke(cgk, ["jobs", "send", "cli.moved", "--tenant", "acme", "--data", "{}", "--delay", "3600"])
    assert sent.exit_code == 0, sent.output
    return tmp_path


def test_there_and_back(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = RedisServer(tmp_path)
    server.start()
    monkeypatch.setenv("REDIS_URL", server.url)
    run = CliRunner().invoke
    planned = run(cgk, ["jobs", "migrate", "--to", "bullmq", "--plan"])
    assert planned.exit_code == 0, planned.output
    assert "Live runs: 1 (1 scheduled)" in planned.output
    assert "cgk jobs migrate --to bullmq" in planned.output
    moved = run(cgk, ["jobs", "migrate", "--to", "bullmq"])
    assert moved.exit_code == 0, moved.output
    assert "bullmq: 1 wake-ups handed over" in moved.output
    assert "Runs are woken by bullmq." in moved.output
    back = run(cgk, ["jobs", "migrate", "--to", "embedded", "--json"])
    assert back.exit_code == 0, back.output
    report = json.loads(back.stdout)
    assert (report["source"], report["target"], report["withdrawn"], report["done"]) == ("bullmq", "embedded", 1, True)
    server.kill()


def test_a_provider_without_settings_is_refused_and_nothing_moves(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    for more in ([], ["--plan"]):
        refused = CliRunner().invoke(cgk, ["jobs", "migrate", "--to", "bullmq", *more])
        assert refused.exit_code == 3
        assert "REDIS_URL" in refused.output
    planned = CliRunner().invoke(cgk, ["jobs", "migrate", "--to", "embedded", "--plan"])
    assert "Runs are woken by embedded" in planned.output


def test_an_unknown_provider(shop: Path) -> None:
    refused = CliRunner().invoke(cgk, ["jobs", "migrate", "--to", "pigeons"])
    assert refused.exit_code != 0
    assert "'pigeons'" in refused.output
