"""Vercel's clock on this machine: it calls the paths of ``vercel.json`` as Vercel does, and wrongly when wished.

One GET for each ring, no body, no retry, no redirect followed; the secret as a bearer token. Rings may be lost, doubled, and
come while the call before is at work: the vendor promises none of that away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx

__all__ = ["ClockFaults", "VercelClock"]


@dataclass
class ClockFaults:
    """``lost``: no ring arrives. ``copies``: calls for each ring, at the same time."""

    lost: bool = False
    copies: int = 1


class VercelClock:
    """``async with VercelClock(url, secret, crons, every=0.2) as clock``.

    ``crons``: those of ``vercel.json``. Each is rung every ``every`` seconds, in place of its own times; ``None``: only by
    :meth:`ring`. ``answers`` are the statuses it was given, ``asked`` the requests as text.
    """

    def __init__(
        self, url: str, secret: str | None, crons: Sequence[Mapping[str, str]], *, every: float | None = None
    ) -> None:
        self._url, self._secret, self._crons, self._every = url, secret, crons, every
        self._client = httpx.AsyncClient(timeout=60, follow_redirects=False)
        self._rings: set[asyncio.Task[None]] = set()
        self._ticking: asyncio.Task[None] | None = None
        self.faults = ClockFaults()
        self.asked: list[str] = []
        self.answers: list[int] = []

    async def ring(self) -> None:
        """Ring every cron once, and wait for the answers."""
        rings = [self._begin(cron) for cron in self._crons for _ in range(self.faults.copies)]
        await asyncio.gather(*rings)

    def _begin(self, cron: Mapping[str, str]) -> asyncio.Task[None]:
        ring = asyncio.create_task(self._call(cron))
        self._rings.add(ring)
        ring.add_done_callback(self._rings.discard)
        return ring

    async def _call(self, cron: Mapping[str, str]) -> None:
        if self.faults.lost:
            return
        headers = {"user-agent": "vercel-cron/1.0", "x-vercel-cron-schedule": cron["schedule"]}
        self.asked.append(f"GET {cron['path']} {headers}")
        if self._secret is not None:
            headers["authorization"] = f"Bearer {self._secret}"
        try:
            answer = await self._client.get(self._url + cron["path"], headers=headers)
        except httpx.HTTPError:
            return  # nobody is told, and nothing comes again
        self.answers.append(answer.status_code)

    async def _tick(self, every: float) -> None:
        while True:
            for cron in self._crons:
                for _ in range(self.faults.copies):
                    self._begin(cron)
            await asyncio.sleep(every)

    async def __aenter__(self) -> Self:
        if self._every is not None:
            self._ticking = asyncio.create_task(self._tick(self._every))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [*self._rings, *([] if self._ticking is None else [self._ticking])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()
