"""One call at work at a time, in the whole installation.

Calls overlap: the clock may ring while the call before is at work, twice for one tick, and each send may ring too. More
than one at work would do no harm, as every claim is fenced, but costs. So a call takes a lease in the ledger, which ends by
itself if the host kills the process. Whoever finds it taken leaves a mark, tries once more, and goes; the holder looks for
the mark after it has let the lease go. So whatever was committed before a call is seen by it or by the holder: a mark that
is put after the holder has looked finds the lease free.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from cgk_jobs.clock import monotonic
from cgk_jobs.providers.draining import LAST_START
from cgk_jobs.providers.provider import Drain
from cgk_jobs.wire.leases import Leases

__all__ = ["Shift"]

MARKED_FOR = 86_400.0
"""Seconds a mark is kept if nobody looks."""
LOOK_EVERY = 1.0
"""Seconds between looks for a mark while a call waits for runs that are due soon."""
SHORTEST = 1.0
"""Seconds. With less than that left of its budget, a call begins nothing more."""
IN_VAIN = 5
"""Looks in a row at runs that are due and can't be claimed."""


class Shift:
    """The calls of one process. ``budget``: seconds a call works, ``longest``: seconds after which the host ends it.

    ``linger``: seconds ahead up to which a call waits for what is due, ``None``: as long as its budget lasts. ``ring`` has
    the application called again, for what is left over.
    """

    def __init__(
        self,
        leases: Leases,
        name: str,
        drain: Drain,
        ring: Callable[[], Awaitable[None]],
        *,
        budget: float,
        longest: float,
        linger: float | None,
    ) -> None:
        self._leases, self._name, self._drain, self._ring = leases, name, drain, ring
        self._budget, self._longest, self._linger = budget, longest, linger
        self._mark = f"{name}:again"
        self._asked = asyncio.Event()
        self._at_work = 0

    def ask(self) -> bool:
        """Have the call that is at work in this process look once more; ``False``: there is none."""
        if self._at_work:
            self._asked.set()
        return self._at_work > 0

    async def work(self) -> dict[str, int]:
        """Fire schedules and work off what is due: ``runs`` begun, ``left`` ready; ``overlap``: 1 if another call is at it."""
        ends_at = monotonic() + self._budget
        lease = await self._begin()
        if lease is None:
            # The clock rang all the same: schedules are fired, and whoever is at work does what they bring.
            return {"runs": 0, "left": (await self._drain(0.0))["left"], "overlap": 1}
        runs, left, asked = 0, 0, False
        while lease is not None:
            self._at_work += 1
            try:
                begun, left = await self._work_off(ends_at)
            finally:
                self._at_work -= 1
                await self._leases.drop(self._name, lease)
            runs, lease = runs + begun, None
            asked = await self._was_asked()
            if asked and ends_at - monotonic() > SHORTEST:
                # If somebody else is at work by now, the mark is put there again, for that one.
                lease, asked = await self._begin(), False
        spent = monotonic() >= ends_at - (1 - LAST_START) * self._budget
        if asked or (left and runs and spent):
            # What is left of the work begins in a call of its own.
            await self._ring()
        return {"runs": runs, "left": left, "overlap": 0}

    async def _begin(self) -> int | None:
        lease = await self._leases.take(self._name, self._longest)
        if lease is None:
            await self._leases.take(self._mark, MARKED_FOR)
            lease = await self._leases.take(self._name, self._longest)
        return lease

    async def _was_asked(self) -> bool:
        here = self._asked.is_set()
        self._asked.clear()
        return await self._leases.drop(self._mark, None) or here

    async def _work_off(self, ends_at: float) -> tuple[int, int]:
        runs, in_vain = 0, 0
        while True:
            found = await self._drain(max(ends_at - monotonic(), 0))
            runs += found["runs"]
            in_vain = 0 if found["runs"] else in_vain + 1
            wait = found.get("next_ms", -1) / 1000
            time_left = ends_at - monotonic() - SHORTEST
            within = time_left if self._linger is None else min(self._linger, time_left)
            if not 0 <= wait <= within or (in_vain > IN_VAIN and wait == 0):
                return runs, found["left"]
            await self._wait(max(wait, 0.05))

    async def _wait(self, seconds: float) -> None:
        """Until then, or until somebody asks to look before."""
        until = monotonic() + seconds
        while (left := until - monotonic()) > 0:
            try:
                async with asyncio.timeout(min(left, LOOK_EVERY)):
                    await self._asked.wait()
            except TimeoutError:
                if not await self._leases.drop(self._mark, None):
                    continue
            self._asked.clear()
            return
