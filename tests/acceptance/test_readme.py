"""The README does what it says: its code and its commands are run as printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.acceptance.pages import ROOT, blocks, environment

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = blocks(ROOT / "README.md", "python")
COMMANDS = [line.strip() for line in README.splitlines() if line.startswith("    cgk ")]


def run(folder: Path, *command: str) -> str:
    """A command's output, in a folder of its own and with the settings of nobody."""
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_job_runs_as_printed(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "shop.py").write_text(BLOCKS[0], encoding="utf-8")
    (tmp_path / "main.py").write_text(BLOCKS[1], encoding="utf-8")
    assert run(tmp_path, sys.executable, "main.py").strip() == "500"
    (listed,) = [command for command in COMMANDS if command.startswith("cgk jobs runs")]
    assert "sync-order" in run(tmp_path, *listed.split())


def test_the_printed_send_reaches_a_worker(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "shop.py").write_text(BLOCKS[0], encoding="utf-8")
    (send,) = [command for command in COMMANDS if command.startswith("cgk jobs send")]
    found = re.fullmatch(r"(.*) --data '(.*)' --wait", send)
    assert found is not None
    with subprocess.Popen(
        ["cgk", "jobs", "work", "shop:jobs"], cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL
    ) as worker:
        try:
            assert "9999" in run(tmp_path, *found[1].split(), "--data", found[2], "--wait")
        finally:
            worker.terminate()
        assert worker.wait() == 0


def test_the_catalogue_is_as_large_as_it_says() -> None:
    from cgk_jobs.events import registry

    (number,) = {int(found) for found in re.findall(r"catalogue of (\d+) commerce events", README)}
    assert number == len(registry)
