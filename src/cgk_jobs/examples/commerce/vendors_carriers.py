"""Parcel carriers: where is it? The double knows what a test tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Literal, Protocol

from cgk_jobs.examples.commerce.vendors import VendorUnavailable

__all__ = ["Carrier", "CarrierDouble", "ParcelState"]

ParcelState = Literal["in_transit", "delivered", "lost"]


class Carrier(Protocol):
    """Tells the state of parcels. Raises ``VendorUnavailable``."""

    async def track(self, tenant_id: str, tracking_numbers: Collection[str]) -> Mapping[str, ParcelState]: ...


class CarrierDouble:
    """A carrier within this process: every parcel is in transit until ``states`` says otherwise.

    ``delay``: seconds a call takes. While ``down`` is true, calls raise ``VendorUnavailable``.
    """

    def __init__(self, states: Mapping[str, ParcelState] | None = None, *, delay: float = 0.0) -> None:
        self.states: dict[str, ParcelState] = dict(states or {})
        self.asked: list[str] = []
        """Every number it was asked about, repetitions included."""
        self.down = False
        self._delay = delay

    async def track(self, tenant_id: str, tracking_numbers: Collection[str]) -> Mapping[str, ParcelState]:
        if self._delay:
            await asyncio.sleep(self._delay)
        self.asked += tracking_numbers
        if self.down:
            raise VendorUnavailable("carrier: no connection")
        return {number: self.states.get(number, "in_transit") for number in tracking_numbers}
