"""The command as people meet it: as a process, in a terminal and in a pipe."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="terminals and signals of Unix")

CGK = [sys.executable, "-m", "cgk_jobs.cli.main"]

SHOP = """
import asyncio
from pathlib import Path

from cgk_jobs import Event, Jobs

jobs = Jobs()


class OrderPlaced(Event, name="shop.order_placed"):
    order_id: str


@jobs.task(on=OrderPlaced)
async def sync_order(event: OrderPlaced) -> str:
    return event.order_id


class Slow(Event, name="shop.slow"):
    pass


@jobs.task(on=Slow)
async def slow(event: Slow) -> str:
    Path("begun").write_text("1")
    with Path("go_on").open() as pipe:
        return (await asyncio.to_thread(pipe.readline)).strip()
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "pyproject.toml").write_text('[tool.cgk-jobs]\napp = "shop:jobs"\n')
    return tmp_path


def environment(**more: str) -> dict[str, str]:
    """This process's, without what would change how the command behaves."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JOBS_", "NO_COLOR", "COLUMNS"))}
    return kept | {"TERM": "xterm-256color"} | more


def cgk(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*CGK, *words], cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == code, done.stderr
    return done


def send(folder: Path, event: str, data: str = "{}") -> str:
    return cgk(folder, "jobs", "send", event, "--tenant", "acme", "--data", data).stdout.strip()


def _hear_the_terminal() -> None:
    """The terminal becomes the one whose Ctrl-C the process hears, also where the tests run in the background."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A command in a pseudo-terminal of its own."""

    def __init__(self, folder: Path, words: list[str], width: int, **more: str) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        self.shown = ""
        self._process = subprocess.Popen(
            [*CGK, *words],
            cwd=folder,
            env=environment(**more),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_hear_the_terminal,  # noqa: PLW1509
        )
        os.close(slave)

    def until(self, text: str) -> None:
        """Read until ``text`` is on the screen."""
        while text not in self.shown:
            assert self._more(), f"it ended without {text!r}: {self.shown}"

    def _more(self) -> bool:
        try:
            data = os.read(self._master, 4096)
        except OSError:  # the other side is closed
            data = b""
        self.shown += data.decode(errors="replace")
        return bool(data)

    def until_it_reads(self) -> None:
        """Wait until it sleeps in the read of an answer, as far as the system tells: then a signal ends the read."""
        call = Path(f"/proc/{self._process.pid}/syscall")
        while call.exists() and call.read_text().split()[:2] != ["0", "0x0"] and self._process.poll() is None:
            os.sched_yield()

    def type(self, text: str) -> None:
        """Type it."""
        os.write(self._master, text.encode())

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._more():
            continue
        return self._process.wait()

    def close(self) -> None:
        """End it, however it stands."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._master)


@contextmanager
def terminal(folder: Path, *words: str, width: int = 100, **more: str) -> Iterator[Terminal]:
    opened = Terminal(folder, list(words), width, **more)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def running(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*CGK, *words], cwd=folder, env=environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def read_until(stream: IO[str] | None, text: str) -> str:
    assert stream is not None
    for line in stream:
        if text in line:
            return line
    raise AssertionError(f"it ended without {text!r}")


# -- importing -------------------------------------------------------------------------------------------------------


def test_the_package_does_not_bring_click_and_help_brings_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, cgk_jobs; assert 'click' not in sys.modules\n"
        "from cgk_jobs.cli.main import cgk\n"
        "cgk(['jobs', '--help'], standalone_mode=False)\n"
        "heavy = [m for m in sys.modules if m.startswith(('cgk_jobs.examples', 'cgk_jobs.benchmarks', 'watchfiles'))]\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL, timeout=50)


def test_the_console_script_is_declared() -> None:
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="cgk")
    from cgk_jobs.cli.main import main

    assert script.load() is main


# -- terminal and pipe -----------------------------------------------------------------------------------------------


def test_a_table_in_a_terminal_fits_it_and_in_a_pipe_is_whole(shop: Path) -> None:
    run_id = send(shop, "shop.order_placed", '{"order_id": "o1"}')
    piped = cgk(shop, "jobs", "runs", "--tenant", "acme").stdout
    assert piped.split("\t")[:4] == [run_id, "acme", "sync-order", "queued"]
    assert "\x1b" not in piped
    with terminal(shop, "jobs", "runs", "--tenant", "acme", width=80) as screen:
        assert screen.end() == 0
    assert screen.shown.startswith("\x1b[1mRUN")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", screen.shown).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith(f"{run_id}  acme    sync-order")
    assert "CREATED" not in lines[0]
    with terminal(shop, "jobs", "runs", "--tenant", "acme", width=120, NO_COLOR="1") as screen:
        assert screen.end() == 0
    assert "\x1b" not in screen.shown
    assert "CREATED" in screen.shown


def test_progress_is_a_bar_redrawn_in_a_terminal(tmp_path: Path) -> None:
    with terminal(tmp_path, "jobs", "demo", "--tenant", "iceland", "--days", "7") as screen:
        assert screen.end() == 0
    assert "\r\x1b[32m━" in screen.shown
    assert "\x1b[K" in screen.shown
    assert "\x1b[1mTENANT" in screen.shown
    assert "to the penny" in screen.shown
    assert not list(tmp_path.iterdir())


# -- signals ---------------------------------------------------------------------------------------------------------


def test_ctrl_c_in_setup_leaves_everything_as_it_was(shop: Path) -> None:
    (shop / "pyproject.toml").write_text("[project]\n")
    with terminal(shop, "setup:jobs") as screen:
        screen.until("[Y/n]: ")
        # Python that is hit between the question and the reading of the answer may lose the interrupt: not what is tried here.
        screen.until_it_reads()
        screen.type("\x03")
        assert screen.end() == 1
    assert "Whatever was done is undone" in screen.shown
    assert "Traceback" not in screen.shown
    assert (shop / "pyproject.toml").read_text() == "[project]\n"
    assert not (shop / ".cgk").exists()


def test_setup_in_a_terminal_asks_once_and_ends_with_three_commands(shop: Path) -> None:
    (shop / "pyproject.toml").write_text("[project]\n")
    with terminal(shop, "setup:jobs") as screen:
        screen.until("Write this into")
        assert '\x1b[32m+app = "shop:jobs"' in screen.shown
        screen.type("\n")
        assert screen.end() == 0
    assert screen.shown.splitlines()[-3:] == ["cgk jobs dev", "cgk jobs schedules", "cgk jobs runs --all-tenants"]
    assert "a job ran end to end" in screen.shown


def test_work_drains_on_sigterm(shop: Path) -> None:
    os.mkfifo(shop / "begun")
    os.mkfifo(shop / "go_on")
    with running(shop, "jobs", "work", "--lease", "5") as worker:
        read_until(worker.stderr, "Working: 2 tasks, queues default")
        run_id = send(shop, "shop.slow")
        assert (shop / "begun").read_text() == "1"
        worker.send_signal(signal.SIGTERM)
        with (shop / "go_on").open("w") as pipe:
            pipe.write("finished\n")
        read_until(worker.stderr, "Stopped in order.")
        assert worker.wait() == 0
    found = json.loads(cgk(shop, "jobs", "show", run_id, "--tenant", "acme", "--json").stdout)
    assert (found["state"], found["result"], found["attempt"]) == ("completed", "finished", 1)


def test_dev_starts_again_on_a_change_and_prints_what_runs(shop: Path) -> None:
    with running(shop, "jobs", "dev", "shop:jobs") as dev:
        read_until(dev.stderr, "Working: 2 tasks.")
        with (shop / "shop.py").open("a") as code:
            code.write("\n\n@jobs.task(on=OrderPlaced)\nasync def mail(event: OrderPlaced) -> None: ...\n")
        read_until(dev.stderr, "shop.py changed: starting again.")
        read_until(dev.stderr, "Working: 3 tasks.")
        send(shop, "shop.order_placed", '{"order_id": "o1"}')
        line = read_until(dev.stdout, "completed")
        assert re.match(r"\d\d:\d\d:\d\d\.\d{3}  acme +(mail|sync-order) +completed +[\d.]+ m?s\n", line)
        read_until(dev.stdout, "completed")
        dev.send_signal(signal.SIGINT)
        read_until(dev.stderr, "Stopped.")
        assert dev.wait() == 0


def test_dev_waits_for_broken_code_to_be_mended(shop: Path) -> None:
    (shop / "shop.py").write_text(SHOP + "\nraise ValueError('broken')\n")
    with running(shop, "jobs", "dev", "shop:jobs") as dev:
        assert "ValueError: broken" in read_until(dev.stderr, "error:")
        (shop / "shop.py").write_text(SHOP)
        read_until(dev.stderr, "Working: 2 tasks.")
        dev.send_signal(signal.SIGTERM)
        read_until(dev.stderr, "Stopped.")
        assert dev.wait() == 0
