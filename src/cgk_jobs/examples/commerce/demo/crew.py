"""The worker processes of the demo: started, watched, killed, replaced."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

from cgk_jobs.errors import JobsError
from cgk_jobs.examples.commerce.demo.ledger import Ledger
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
    """``size`` processes over one ledger, numbered from 0; one that replaces another has the next free number."""

    def __init__(self, ledger: Ledger, size: int) -> None:
        self._ledger = ledger
        self._folder = ledger.folder
        self._size = size
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._counts: list[SharedCount] = []
        self._peak_of_killed = 0.0
        self.peak_mb = 0.0
        """The most memory of all that work at the same time; known once they have stopped."""
        self.killed = 0

    async def start(self) -> None:
        """Start them all and wait until they work."""
        await asyncio.gather(*[self._start(number) for number in range(self._size)])

    async def _start(self, number: int) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cgk_jobs.examples.commerce.demo.worker", str(self._folder), str(number),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=self._ledger.environment,
        )  # fmt: skip
        self._processes[number] = process
        if process.stdout is None or (await process.stdout.readline()).strip() != b"ready":
            raise JobsError("the demo's worker did not start; what it wrote above says why")
        self._counts.append(SharedCount(self._folder / f"begun-{number}"))

    @property
    def begun(self) -> int:
        """Attempts begun by all of them, the killed included."""
        return sum(count.value for count in self._counts)

    def check(self) -> None:
        """Raise ``JobsError`` if one has died of itself."""
        for process in self._processes.values():
            if process.returncode is not None:
                raise JobsError(f"the demo's worker ended with {process.returncode}; what it wrote above says why")

    async def caught_up(self, stored: int) -> None:
        """Wait until all but ``AHEAD`` of so many runs have begun, or until nothing begins any more."""
        begun, idle = self.begun, 0
        if stored - begun <= AHEAD:
            return
        while stored - begun > AHEAD // 4 and idle < PATIENCE:
            self.check()
            await asyncio.sleep(LOOK_EVERY)
            now = self.begun
            # What is left then waits for the clock, which its owner moves only once this returns.
            begun, idle = now, 0 if now != begun else idle + 1

    async def kill_one(self) -> None:
        """SIGKILL for the longest-serving, and another in its place."""
        process = self._processes.pop(min(self._processes))
        self._peak_of_killed = max(self._peak_of_killed, peak_mb(process.pid))
        process.kill()
        await process.wait()
        self.killed += 1
        await self._ledger.worker_ended(process.pid)
        await self._start(self._size - 1 + self.killed)

    async def stop(self) -> None:
        """Let them finish, and add up what they used."""
        for process in self._processes.values():
            if process.stdin is not None:
                process.stdin.close()
        for process in self._processes.values():
            await process.wait()
        peaks = [self._peak(number) for number in self._processes]
        # The killed one never worked beside the one in its place: the larger of the two counts.
        self.peak_mb = sum(peaks) - peaks[-1] + max(peaks[-1], self._peak_of_killed)

    def _peak(self, number: int) -> float:
        path = self._folder / f"peak-{number}"
        if not path.exists():
            raise JobsError("the demo's worker did not end in order; what it wrote above says why")
        return float(path.read_text(encoding="ascii"))

    def starts(self) -> Iterator[tuple[tuple[str, str, str], float]]:
        """Tenant, event and order, and the real moment (monotonic seconds) at which its first handler began."""
        for path in sorted(self._folder.glob("starts-*")):
            with path.open(encoding="utf-8") as file:
                for line in file:
                    tenant, event, order, moment = line.split(" ")
                    yield (tenant, event, order), float(moment)

    def abandon(self) -> None:
        """End them at once: the demo itself failed."""
        for process in self._processes.values():
            if process.returncode is None:
                process.kill()
