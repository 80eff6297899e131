"""The whole service."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from cgk_jobs.clock import Clock, SystemClock
from cgk_jobs.testing.peers.loopback import Loopback
from cgk_jobs.testing.peers.qstash.api import make_api
from cgk_jobs.testing.peers.qstash.broker import Asked, Broker, Rung
from cgk_jobs.testing.peers.qstash.faults import Faults, Limits
from cgk_jobs.testing.peers.qstash.messages import Message
from cgk_jobs.testing.peers.qstash.schedule import Schedule
from cgk_jobs.wire.json import dumps

__all__ = ["QStashPeer"]


class QStashPeer:
    """``async with QStashPeer() as peer``: listens at ``peer.url`` and rings what is due until the block ends.

    With a manual ``clock``, call ``await peer.settled()`` after it was moved. ``patience`` multiplies the waits between
    tries, the service's and those it is asked for. ``faults`` may be changed at any time.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        limits: Limits | None = None,
        faults: Faults | None = None,
        patience: float = 1.0,
    ) -> None:
        self.faults = faults or Faults()
        self.limits = limits or Limits()
        self.token = base64.b64encode(
            dumps({"UserID": secrets.token_hex(8), "Password": secrets.token_hex(16)}).encode()
        ).decode()
        self.current_signing_key, self.next_signing_key = _new_key(), _new_key()
        self._broker = Broker(
            clock or SystemClock(), self.limits, self.faults, patience, lambda: self.current_signing_key
        )
        self._server = Loopback(make_api(self._broker, self.token, self.signing_keys, self.rotate))
        self._ringing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        self._ringing = asyncio.create_task(self._broker.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ringing is not None:
            self._ringing.cancel()
            await asyncio.gather(self._ringing, return_exceptions=True)
        await self._server.__aexit__(kind, error, trace)

    @property
    def url(self) -> str:
        """``QSTASH_URL``."""
        return self._server.url

    def environment(self, public_url: str) -> dict[str, str]:
        """The settings of an application that is reached at ``public_url``."""
        return {
            "QSTASH_URL": self.url,
            "QSTASH_TOKEN": self.token,
            "QSTASH_CURRENT_SIGNING_KEY": self.current_signing_key,
            "QSTASH_NEXT_SIGNING_KEY": self.next_signing_key,
            "JOBS_PUBLIC_URL": public_url,
        }

    def signing_keys(self) -> tuple[str, str]:
        """The current signing key and the next."""
        return self.current_signing_key, self.next_signing_key

    def rotate(self) -> None:
        """The next signing key becomes the current one."""
        self.current_signing_key, self.next_signing_key = self.next_signing_key, _new_key()

    @property
    def messages(self) -> Mapping[str, Message]:
        """Those that wait or are under way, by id."""
        return self._broker.messages

    @property
    def dead(self) -> Mapping[str, Message]:
        """Those that were given up, by the id of the dead letter."""
        return self._broker.dead

    @property
    def schedules(self) -> Mapping[str, Schedule]:
        """By id."""
        return self._broker.schedules

    @property
    def asked(self) -> list[Asked]:
        """The requests that came, in their order."""
        return self._broker.asked

    @property
    def rung(self) -> list[Rung]:
        """The calls that were made, in the order they ended."""
        return self._broker.rung

    @property
    def billed(self) -> int:
        """Deliveries, tries and callbacks: what the service charges for."""
        return self._broker.billed

    def ring(self, schedule: Schedule) -> None:
        """Let a schedule ring now, whatever its time."""
        self._broker.ring_schedule(schedule)

    async def settled(self) -> None:
        """Ring what is due by now, and wait until every call has ended and nothing more is due."""
        await self._broker.settled()


def _new_key() -> str:
    return f"sig_{secrets.token_hex(14)}"
