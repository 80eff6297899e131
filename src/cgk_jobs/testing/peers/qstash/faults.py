"""What the peer does wrong when a test wishes it, and the limits of a plan."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Faults", "Limits"]


@dataclass
class Limits:
    """Of the smallest plan, November 2026. ``messages``: a day; ``None`` without such a limit. ``delay``: seconds."""

    messages: int | None = None
    retries: int = 3
    delay: float = 7 * 86_400.0
    body: int = 1_000_000
    schedules: int = 10
    response: float = 900.0


@dataclass
class Faults:
    """Counters go down with each time.

    ``copies``: how often each message is delivered. ``shuffled``: due messages go out in any order. ``late``: seconds added
    to each. ``lost``: so many messages are acknowledged and never delivered. ``limited``: so many requests are answered 429
    with the headers of a burst. ``broken``: so many are answered 500 without effect, ``broken_after`` after their effect.
    ``slow``: seconds before each answer. ``garbled``: so many are answered with a page in place of JSON.
    ``poison``: a batch with a message of this deduplication id is refused as a whole.
    ``patch_only``: schedules are paused and resumed by PATCH, as the vendor's libraries do, and not by POST, as it describes.
    ``forged``: deliveries are signed with a key of nobody's.
    """

    copies: int = 1
    shuffled: bool = False
    late: float = 0.0
    lost: int = 0
    limited: int = 0
    broken: int = 0
    broken_after: int = 0
    slow: float = 0.0
    garbled: int = 0
    poison: str = ""
    patch_only: bool = False
    forged: bool = False
