"""A generated project beside the vendor's packages, compiled by its own compiler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.servers.node import NodeProject

from cgk_jobs.providers.provider import Plan, PlannedTask, PlannedTick
from cgk_jobs.providers.trigger_dev.project import ProjectOptions, project_files
from cgk_jobs.wire.json import dumps

PLAN = Plan(
    "shop",
    [
        PlannedTask("sync_order", "default", 30.0, 3, None),
        PlannedTask("ab.hourly-metrics", "reports", 900.0, 1, 2),
        PlannedTask("class", "reports", 5.0, 1, None),
        PlannedTask("1st_job", "Reports", 5.0, 1, None),
        PlannedTask("a.b", "default", 5.0, 1, None),
        PlannedTask("a-b", "default", 5.0, 1, None),
    ],
    [PlannedTick("ab.hourly-metrics", "15 * * * *", "America/New_York")],
    "https://shop.example/jobs",
)


def generate(folder: Path, plan: Plan = PLAN, **options: Any) -> dict[str, str]:
    """Write a project's files."""
    wanted = project_files(plan, ProjectOptions(**options))
    for path, text in wanted.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return wanted


class Compiled:
    """A project whose JavaScript stands beside its sources. ``complaints``: what the compiler says of it."""

    def __init__(self, vendor: NodeProject, folder: Path) -> None:
        self._vendor, self.folder = vendor, folder
        (folder / "node_modules").symlink_to(vendor.folder / "node_modules")
        compiler = vendor.folder / "node_modules" / "typescript" / "bin" / "tsc"
        done = subprocess.run(
            [vendor.node, str(compiler), "--noEmit", "false"],
            cwd=folder, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        self.complaints = done.stdout + done.stderr

    def close(self) -> None:
        shutil.rmtree(self.folder)

    def sign(self, requests: list[dict[str, Any]]) -> list[dict[str, str]]:
        """The headers the project's own code makes."""
        found: list[dict[str, str]] = self._vendor.ask("sign.mjs", {"project": str(self.folder), "requests": requests})
        return found

    def question(self, task: str, payload: object, api: str, key: str, env: dict[str, str], attempts: int = 1) -> str:
        """What ``execute.mjs`` is asked."""
        return dumps(
            {
                "project": str(self.folder), "task": task, "payload": payload, "attempts": attempts, "api": api, "key": key,
                "env": env,
            }
        )  # fmt: skip

    def command(self, name: str) -> list[str]:
        """How a script is run."""
        return [self._vendor.node, str(self._vendor.script(name))]
