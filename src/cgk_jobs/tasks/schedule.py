"""When a cron expression fires: pure functions of time.

Rule on daylight-saving days (that of Debian's cron, as implemented by cronsim): a fixed time inside the spring gap fires
once, at the first valid minute after it; a fixed time inside the autumn overlap fires once; expressions with a wildcard
in minute or hour fire in real time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from cgk_jobs.errors import InvalidSchedule

__all__ = ["Cron", "Misfire", "Tick", "due_ticks"]

Misfire = Literal["latest", "all", "skip"]
MISSED_CAP = 1000
"""At most this many missed ticks are made up for by ``misfire="all"``; the newest are kept."""
GRACE = timedelta(seconds=60)
"""A tick later than this counts as missed."""


@dataclass(frozen=True, slots=True)
class Cron:
    """Five cron fields read in an IANA time zone. Raises ``InvalidSchedule`` for what can't be read or never matches."""

    expression: str
    timezone: str = "UTC"
    zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "zone", ZoneInfo(self.timezone))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise InvalidSchedule(
                f"unknown time zone {self.timezone!r}: use an IANA name such as Europe/Berlin"
            ) from None
        try:
            if len(self.expression.split()) != 5:
                raise CronSimError("not five fields")
            next(CronSim(self.expression, datetime(2024, 1, 1, tzinfo=UTC)))
        except (CronSimError, StopIteration) as error:
            raise InvalidSchedule(
                f"cron expression {self.expression!r} can't be read or never matches ({error}): "
                "five fields, minute hour day month weekday, like 15 * * * *"
            ) from None

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The ticks after ``moment`` (aware), in UTC. Raises ``ValueError`` for a naive one."""
        if moment.tzinfo is None:
            raise ValueError("a naive datetime has no place in a schedule: add tzinfo=datetime.UTC")
        for tick in CronSim(self.expression, moment.astimezone(self.zone)):
            yield tick.astimezone(UTC)

    def next_after(self, moment: datetime) -> datetime:
        """The first tick after ``moment``, in UTC."""
        return next(self.after(moment))


@dataclass(frozen=True, slots=True)
class Tick:
    """One firing of a schedule for one tenant. ``missed`` counts the ticks before it that were not made up for."""

    tenant_id: str
    schedule: str
    scheduled_at: datetime
    local_time: datetime
    timezone: str
    previous_at: datetime | None
    missed: int


def due_ticks(cron: Cron, last: datetime, now: datetime, misfire: Misfire) -> list[tuple[datetime, int]]:
    """The ticks in ``(last, now]`` that are to be fired, oldest first, each with the number missed before it.

    ``all``: every one, the newest 1,000 at most. ``latest``: the newest only. ``skip``: the newest, if at most a minute late.
    """
    ticks: list[datetime] = []
    total = 0
    for tick in cron.after(last):
        if tick > now:
            break
        total += 1
        ticks.append(tick)
        if len(ticks) > MISSED_CAP:
            del ticks[0]
    if not ticks:
        return []
    if misfire == "all":
        return [(tick, total - len(ticks) if index == 0 else 0) for index, tick in enumerate(ticks)]
    if misfire == "skip" and now - ticks[-1] > GRACE:
        return []
    return [(ticks[-1], total - 1)]
