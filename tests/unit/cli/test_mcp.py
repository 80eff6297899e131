"""``cgk jobs mcp``, asked over standard input and output by the protocol's own client; and ``cgk jobs token``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from mcp import StdioServerParameters
from mcp.client.client import Client
from tests.acceptance.pages import environment

from cgk_jobs import Jobs
from cgk_jobs.api.agents import TOOLS

Command = Callable[..., Result]
SOURCES = Path(__file__).parents[3] / "src"


@pytest.fixture
def three(shop: Path, run: Command, worked: Callable[[], None]) -> list[str]:
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


def server(folder: Path, *options: str) -> StdioServerParameters:
    arguments = ["-m", "cgk_jobs.cli.main", "jobs", "mcp", *options]
    env = environment() | {"PYTHONPATH": f"{SOURCES}:{folder}"}
    return StdioServerParameters(command=sys.executable, args=arguments, env=env, cwd=folder)


def said(answer: Any) -> Any:
    return json.loads(answer.content[0].text)


async def test_an_agent_sees_its_tenant_alone(three: list[str], shop: Path) -> None:
    async with Client(server(shop, "--tenant", "acme")) as agent:
        tools = (await agent.list_tools()).tools
        assert tuple(tool.name for tool in tools) == TOOLS
        assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in tools)
        runs = said(await agent.call_tool("list_runs", {}))["runs"]
        assert runs
        assert {run["tenant_id"] for run in runs} == {"acme"}
        counted = said(await agent.call_tool("count_runs", {}))["states"]
        assert sum(counted.values()) == len(runs)
        run = said(await agent.call_tool("get_run", {"run_id": three[0]}))
        assert run["payload"]["token"] == "********"
        assert "s3cret" not in str(run)
        assert said(await agent.call_tool("run_log", {"run_id": three[0]}))["log"]
        for tool in ("schedules", "queues", "event_catalogue", "tenant_usage"):
            assert said(await agent.call_tool(tool, {}))
        for tool, arguments in (
            ("get_run", {"run_id": three[1]}),
            ("run_log", {"run_id": three[1]}),
            ("tenant_usage", {"tenant_id": "bolt"}),
            ("list_runs", {"cursor": "none"}),
            ("list_runs", {"since": "2026-01-01T00:00:00"}),
        ):
            refused: Any = await agent.call_tool(tool, arguments)
            assert refused.is_error
            assert "Traceback" not in refused.content[0].text
        injected: Any = await agent.call_tool("list_runs", {"tenant_id": "bolt"})
        assert injected.is_error or "bolt" not in injected.content[0].text


async def test_all_tenants_for_a_reason(three: list[str], shop: Path) -> None:
    async with Client(server(shop, "--platform-reason", "a look at the week")) as agent:
        runs = said(await agent.call_tool("list_runs", {}))["runs"]
        assert {run["id"] for run in runs} == set(three)


def test_whose_runs_must_be_said(shop: Path, run: Command) -> None:
    assert "--platform-reason" in run("jobs", "mcp", code=2).stderr


def test_tokens_are_made_and_revoked(shop: Path, run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    del shop
    monkeypatch.setenv("JOBS_SIGNING_KEY", "k" * 32)
    Jobs().sync.tenants.add("acme")
    made = run("jobs", "token", "--tenant", "acme", "--action", "read", "--expires", "2h").stdout.strip()
    assert json.loads(run("jobs", "token", "--revoke", made, "--json").stdout) == {"revoked": True, "before": False}
    assert json.loads(run("jobs", "token", "--revoke", made, "--json").stdout) == {"revoked": True, "before": True}
    assert "for which tenant" in run("jobs", "token", code=2).stderr
    assert "such as 1h" in run("jobs", "token", "--tenant", "acme", "--expires", "soon", code=2).stderr
    assert "without --action" in run("jobs", "token", "--all-tenants", "--run", "x", code=2).stderr
