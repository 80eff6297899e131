"""Probes of connected services: does it answer? The double knows which are down."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

__all__ = ["Probe", "ProbeDouble"]


class Probe(Protocol):
    """Asks a service for a sign of life: an empty text if it is well, else what is wrong."""

    async def ask(self, service: str) -> str: ...


class ProbeDouble:
    """Services within this process: all are well but those in ``down``. ``delay``: seconds a call takes."""

    def __init__(self, down: Iterable[str] = (), *, delay: float = 0.0) -> None:
        self.down = set(down)
        self._delay = delay

    async def ask(self, service: str) -> str:
        if self._delay:
            await asyncio.sleep(self._delay)
        return f"{service} does not answer" if service in self.down else ""
