"""What the service does wrong when it is told to."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Faults"]


@dataclass
class Faults:
    """Counts go down with each request they befall. ``broken``: 500 before anything happens; ``broken_after``: 500 after it has.

    ``limited``: 429 with the time of its end. ``garbled``: answers that are not of its form. ``lost``: acknowledged, and never
    run. ``full``: a queue of the plan is full. ``copies``: calls for each wake-up that is due, at the same time.
    """

    broken: int = 0
    broken_after: int = 0
    limited: int = 0
    garbled: int = 0
    lost: int = 0
    full: bool = False
    copies: int = 1

    def take(self, name: str) -> bool:
        """Whether this request is befallen."""
        left = int(getattr(self, name))
        if left:
            setattr(self, name, left - 1)
        return left > 0
