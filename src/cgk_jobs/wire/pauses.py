"""When a call is tried again, and how long a server asks to be left alone, in the ways that servers say it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

__all__ = ["Pause", "RetryRules", "pause_by", "seconds_of"]

Pause = Callable[[int, Mapping[str, str], float], float | None]
"""Of a status, headers (names in lower case) and the time (seconds since 1970): seconds to wait, ``None`` if it doesn't say."""

LONGEST = 366 * 86_400.0
"""Seconds. What is longer was not understood."""

_jitter = random.Random()  # noqa: S311
_DURATION = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9}(?:\.\d{1,9})?)s)?", re.ASCII)
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,9})?", re.ASCII)
_SECONDS, _MILLISECONDS = 1e9, 1e11
"""A number from here on is a moment since 1970 in this unit; a smaller one is seconds from now. No wait lasts 30 years."""


@dataclass(frozen=True, slots=True)
class RetryRules:
    """When and how often a call is tried again.

    ``attempts`` counts the first try. The wait before the next is between half of and the whole of ``initial`` doubled each
    time, at most ``maximum``; a pause the server asks for takes its place, never shortened. ``within``: seconds from the
    beginning of the call after which no further try is begun; a longer pause ends the call at once. ``statuses`` are tried
    again if the call is idempotent; 429 also if it is not, since a refused request had no effect.
    """

    attempts: int = 4
    initial: float = 0.25
    maximum: float = 8.0
    within: float = 45.0
    statuses: frozenset[int] = frozenset({408, 425, 429, 500, 502, 503, 504})

    def wait(self, tries: int, asked: float | None) -> float:
        """Seconds after ``tries`` tries, when the server asked for ``asked``."""
        if asked is not None:
            # A little later than asked for, and not every client at the same moment.
            return asked + _jitter.random() * min(self.initial, asked or self.initial)
        full = min(self.initial * 2.0 ** min(tries - 1, 30), self.maximum)
        return full * (0.5 + _jitter.random() / 2)


def seconds_of(text: str, now: float) -> float | None:
    """Seconds from ``now`` of ``120``, ``0.5``, ``6m5s``, an HTTP date, or a moment since 1970 in seconds or milliseconds.

    A moment that has passed is 0; what can't be understood ``None``.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        number = float(text)
        if number >= _MILLISECONDS:
            number = max(0.0, number / 1000 - now)
        elif number >= _SECONDS:
            number = max(0.0, number - now)
        return number if number <= LONGEST else None
    found = _DURATION.fullmatch(text)
    if found and text:
        days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
        total = days * 86_400 + hours * 3_600 + minutes * 60 + seconds
        return total if total <= LONGEST else None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    total = max(0.0, moment.timestamp() - now)
    return total if total <= LONGEST else None


def pause_by(*headers: str) -> Pause:
    """Reads the first of ``headers`` that is there and can be understood."""
    names = tuple(name.lower() for name in headers)

    def pause(status: int, given: Mapping[str, str], now: float) -> float | None:
        for name in names:
            if name in given and (seconds := seconds_of(given[name], now)) is not None:
                return seconds
        return None

    return pause
