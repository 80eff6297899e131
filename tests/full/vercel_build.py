"""The example for Vercel, built by Vercel's own command line, without an account and without its service.

python -m tests.full.vercel_build                  exit code 1 if it does not build, or the clock's entry is not in what was built

Installs the command line from the npm registry (360 MB, kept in ``.cache``); its builder needs Python 3.12 or newer and ``uv`` on the
PATH. Its packages come from the Python index; this one is built from the tree.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "src" / "cgk_jobs" / "examples" / "vercel"
CLI = "vercel@60.1.3"
CACHE = ROOT / ".cache" / "node" / "vercel-cli"
PROJECT = {"projectId": "prj_example", "orgId": "team_example", "settings": {"nodeVersion": "24.x"}}


def run(*command: str, cwd: Path, **environment: str) -> None:
    print("$", " ".join(command), flush=True)
    subprocess.run(command, cwd=cwd, check=True, timeout=900, env={**os.environ, **environment})


def main() -> int:
    CACHE.mkdir(parents=True, exist_ok=True)
    cli = CACHE / "node_modules" / "vercel" / "dist" / "index.js"
    if not cli.exists():
        run("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", CLI, cwd=CACHE)
    with tempfile.TemporaryDirectory() as folder:
        app = Path(folder) / "app"
        shutil.copytree(EXAMPLE, app)
        wheels = Path(folder) / "wheels"
        run("uv", "build", "--wheel", "--out-dir", str(wheels), str(ROOT), cwd=ROOT)
        (wheel,) = wheels.glob("*.whl")
        shutil.copy(wheel, app)
        (app / "requirements.txt").write_text(f"./{wheel.name}\nasyncpg\nhttpx\nstarlette\n")
        (app / ".vercel").mkdir()
        (app / ".vercel" / "project.json").write_text(json.dumps(PROJECT))
        run(
            "node",
            str(cli),
            "build",
            "--yes",
            "--token",
            "none",
            "--cwd",
            str(app),
            cwd=app,
            VERCEL_TELEMETRY_DISABLED="1",
        )
        built = json.loads((app / ".vercel" / "output" / "config.json").read_text())
    print(f"crons: {built.get('crons')}")
    wanted = json.loads((EXAMPLE / "vercel.json").read_text())["crons"]
    return 0 if built.get("crons") == wanted else 1


if __name__ == "__main__":
    sys.exit(main())
