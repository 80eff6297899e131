"""The worker processes of the demo: started, watched, killed, replaced."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from cgk_jobs.errors import JobsError
from cgk_jobs.examples.commerce.demo.memory import peak_mb
from cgk_jobs.examples.commerce.demo.shared_clock import SharedCount

__all__ = ["Crew"]

AHEAD = 2_000
"""Runs that may wait while more is sent."""
LOOK_EVERY = 0.005
"""Real seconds between two looks at how far the workers are."""
PATIENCE = 400
"""Looks at workers that begin nothing, before more is sent all the same."""


class Crew:
    """``size`` processes over one folder."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder
        self._size = size
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._counts: dict[int, SharedCount] = {}
        self.starts: dict[tuple[str, str, str], float] = {}
        self.peak_mb = 0.0
        self.killed = 0
        self._killed_peak = 0.0

    async def start(self) -> None:
        """Start them all and wait until they work."""
        await asyncio.gather(*[self._start(number) for number in range(self._size)])

    async def _start(self, number: int) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cgk_jobs.examples.commerce.demo.worker", str(self._folder), str(number),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self._processes[number] = process
        if process.stdout is None or (await process.stdout.readline()).strip() != b"ready":
            raise JobsError("the demo's worker did not start; run it with --folder and look at what it wrote")
        self._counts[number] = SharedCount(self._folder / f"begun-{number}")

    @property
    def begun(self) -> int:
        """Attempts begun by all of them."""
        return sum(count.value for count in self._counts.values())

    def check(self) -> None:
        """Raise ``JobsError`` if one has died of itself."""
        for process in self._processes.values():
            if process.returncode is not None:
                raise JobsError(f"the demo's worker ended with {process.returncode}")

    async def caught_up(self, stored: int) -> None:
        """Wait until all but ``AHEAD`` of so many runs have begun, or until nothing begins any more."""
        begun, idle = self.begun, 0
        while stored - begun > AHEAD and idle < PATIENCE:
            self.check()
            await asyncio.sleep(LOOK_EVERY)
            now = self.begun
            # What is left then waits for the clock, which its owner moves only once this returns.
            begun, idle = now, 0 if now != begun else idle + 1

    async def kill_one(self) -> None:
        """SIGKILL for the first, and another in its place."""
        process = self._processes.pop(0)
        self._killed_peak = max(self._killed_peak, peak_mb(process.pid))
        process.kill()
        await process.wait()
        self.killed += 1
        number = self._size + self.killed
        await self._start(number)
        self._processes[0] = self._processes.pop(number)

    async def stop(self) -> None:
        """Let them finish and collect what they noted."""
        for process in self._processes.values():
            if process.stdin is not None:
                process.stdin.close()
        for process in self._processes.values():
            await process.wait()
        peaks: list[float] = []
        for path in self._folder.glob("report-*.json"):
            report = json.loads(path.read_text(encoding="utf-8"))
            peaks.append(report["peak_mb"])
            for tenant, event, order, moment in report["starts"]:
                key = (tenant, event, order)
                self.starts[key] = min(moment, self.starts.get(key, moment))
        # A killed process and the one in its place never lived at the same time.
        self.peak_mb = sum(peaks) + max(self._killed_peak - min(peaks, default=0.0), 0.0)

    def abandon(self) -> None:
        """End them at once: the demo itself failed."""
        for process in self._processes.values():
            if process.returncode is None:
                process.kill()
