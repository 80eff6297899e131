"""One thing that was looked at."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Finding", "Level", "bad", "fine", "mind"]

Level = Literal["fine", "mind", "bad"]


class Finding(NamedTuple):
    """``bad``: work is not done, or not safely; ``mind``: it is, and something ought to be mended. ``remedy``: what to do."""

    level: Level
    subject: str
    text: str
    remedy: str = ""


def fine(subject: str, text: str) -> Finding:
    """As it should be."""
    return Finding("fine", subject, text)


def mind(subject: str, text: str, remedy: str) -> Finding:
    """Something to be mended."""
    return Finding("mind", subject, text, remedy)


def bad(subject: str, text: str, remedy: str) -> Finding:
    """Something is wrong."""
    return Finding("bad", subject, text, remedy)
