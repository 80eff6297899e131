"""A project in a folder of its own, and the command, run in this process."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cgk_jobs import Jobs, across_tenants
from cgk_jobs.cli.main import cgk

MODULE = "shop_of_commands"
APP = f"{MODULE}:jobs"

SHOP = """
from typing import Annotated

from cgk_jobs import Context, Event, Jobs, Retry, TaskGroup
from cgk_jobs.events import Secret

jobs = Jobs()


class OrderPlaced(Event, name="shop.order_placed"):
    order_id: str
    total_cents: int = 0
    token: Annotated[str, Secret] = "s3cret"


@jobs.task(on=OrderPlaced, retry=Retry(max_attempts=1), tags=["orders"])
async def sync_order(event: OrderPlaced, ctx: Context) -> int:
    ctx.log.info("syncing %s", event.order_id)
    await ctx.step("fetch", len, event.order_id)
    if event.order_id.startswith("bad"):
        raise ValueError("no such order \\x1b[31m" + event.order_id)
    return event.total_cents


@jobs.cron("15 * * * *", timezone="America/New_York", tenants="seen")
async def hourly(tick, ctx):
    return None
"""

Command = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty project: the working directory, with no settings but those a test makes."""
    for name in ("JOBS_PROVIDER", "JOBS_DATABASE_URL", "JOBS_SYNCHRONOUS", "JOBS_APP", "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "shop"  # ours\n')
    yield tmp_path
    sys.modules.pop(MODULE, None)


@pytest.fixture
def shop(folder: Path) -> Path:
    """A project with an application that its settings name."""
    (folder / f"{MODULE}.py").write_text(SHOP)
    (folder / "pyproject.toml").write_text(f'[tool.cgk-jobs]\napp = "{APP}"\n')
    importlib.invalidate_caches()
    return folder


@pytest.fixture
def run(folder: Path) -> Command:
    """Run ``cgk`` with these words; ``stdin`` is what is typed."""
    del folder

    def command(*words: str, stdin: str | None = None, code: int | None = 0) -> Result:
        result = CliRunner().invoke(cgk, words, input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert code is None or result.exit_code == code, result.output
        return result

    return command


def work_off() -> None:
    """Work for the shop until every run has ended."""
    jobs: Jobs = importlib.import_module(MODULE).jobs

    async def work() -> None:
        await jobs.start(scheduler=False)
        with across_tenants(reason="test"):
            for one in await jobs.runs.list(limit=1000):
                async for _ in jobs.runs.watch(one.id):
                    continue
        await jobs.stop()

    try:
        asyncio.run(work())
    finally:
        jobs.close()


@pytest.fixture
def worked() -> Callable[[], None]:
    """Work for the shop until every run has ended."""
    return work_off


class Terminal:
    """Makes stdout or stderr count as a terminal of some width."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def __call__(self, width: int, **environment: str) -> None:
        def everywhere(stream: Any) -> bool:
            del stream
            return True

        for module in ("console", "tables", "progress", "runs"):
            self._patch.setattr(f"cgk_jobs.cli.{module}.is_terminal", everywhere)
        self._patch.setenv("COLUMNS", str(width))
        self._patch.setenv("TERM", "xterm-256color")
        for name, value in environment.items():
            self._patch.setenv(name, value)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Call it with a width: from then on a person looks."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal(monkeypatch)
