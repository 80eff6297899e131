"""What docs/api.md and docs/mcp.md print is so: the Python is run, the commands are run, the agent's settings start a server."""

from __future__ import annotations

import ast
import inspect
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from mcp import StdioServerParameters
from mcp.client.client import Client
from tests.acceptance.pages import ROOT, blocks, environment

from cgk_jobs import Jobs
from cgk_jobs.api.agents import TOOLS
from cgk_jobs.cli.main import cgk
from cgk_jobs.errors import InvalidToken

API = ROOT / "docs" / "api.md"
MCP = ROOT / "docs" / "mcp.md"


async def test_tokens_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBS_SIGNING_KEY", "k" * 32)
    jobs = Jobs(f"sqlite:///{tmp_path / 'jobs.db'}")
    (code,) = blocks(API, "python")
    names: dict[str, Any] = {"jobs": jobs, "run_id": "0190163d-8694-739b-aea5-966c26f8ad91"}
    run = eval(compile(code, "api.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    if inspect.isawaitable(run):
        await run
    with pytest.raises(InvalidToken, match="revoked"):
        await jobs.tokens.open(names["token"])
    assert (await jobs.tokens.open(names["watch"])).run_id == names["run_id"]
    jobs.close()


def test_the_token_command_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOBS_SIGNING_KEY", "k" * 32)
    Jobs().sync.tenants.add("rawdog")
    (block,) = blocks(API, "sh")
    (line,) = [line for line in block.splitlines() if line.startswith("cgk ")]
    made = CliRunner().invoke(cgk, shlex.split(line)[1:])
    assert made.exit_code == 0, made.output


async def test_the_agents_settings_start_a_server(tmp_path: Path) -> None:
    jobs = Jobs(f"sqlite:///{tmp_path / '.cgk' / 'jobs.db'}")
    await jobs.tenants.add("rawdog")
    jobs.close()
    (tmp_path / "pyproject.toml").write_text("")
    (text,) = blocks(MCP, "json")
    entry = json.loads(text)["mcpServers"]["jobs"]
    assert entry["command"] == "cgk"
    env = environment() | {"PYTHONPATH": str(ROOT / "src")}
    arguments = ["-m", "cgk_jobs.cli.main", *entry["args"]]
    server = StdioServerParameters(command=sys.executable, args=arguments, env=env, cwd=tmp_path)
    async with Client(server) as agent:
        assert tuple(tool.name for tool in (await agent.list_tools()).tools) == TOOLS
    assert all(f"`{tool}`" in MCP.read_text(encoding="utf-8") for tool in TOOLS)
