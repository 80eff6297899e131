"""UUIDv7 ids made of a row's time-ordered sequence number and random bits (RFC 9562, section 5.7).

``seq`` is 63 bits: 48 bits of milliseconds since 1970 and a 15-bit counter within the millisecond. The id therefore
leads back to the row by its integer primary key, and no unique index on ids is needed.
"""

from __future__ import annotations

import os
import struct
import uuid

__all__ = ["COUNTER_BITS", "NONCE_BITS", "Nonces", "parse_id", "to_id"]

COUNTER_BITS = 15
NONCE_BITS = 59
_NONCE_MASK = (1 << NONCE_BITS) - 1
_VERSION_AND_VARIANT = (7 << 76) | (2 << 62)


def to_id(seq: int, nonce: int) -> str:
    """The UUIDv7 text of a row."""
    value = ((seq >> 15) << 80) | ((seq & 0x7FF8) << 61) | ((seq & 7) << 59) | nonce | _VERSION_AND_VARIANT
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def parse_id(text: str) -> tuple[int, int] | None:
    """``(seq, nonce)`` of an id, or ``None`` if the text is no id made by :func:`to_id`."""
    try:
        value = uuid.UUID(text).int
    except (ValueError, AttributeError, TypeError):
        return None
    if value & ((0xF << 76) | (3 << 62)) != _VERSION_AND_VARIANT:
        return None
    counter = ((value >> 64) & 0xFFF) << 3 | ((value >> NONCE_BITS) & 7)
    return ((value >> 80) << COUNTER_BITS) | counter, value & _NONCE_MASK


_forks = [0]
"""How many forks lie between this process and the first one; a cell, so that the child's count is its own."""


def _forked() -> None:
    _forks[0] += 1


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forked)


class Nonces:
    """Random parts of ids, from the operating system, fetched 512 at a time: a call for each costs as much as an insert."""

    def __init__(self) -> None:
        self._pool: list[int] = []
        self._forks = _forks[0]

    def draw(self) -> int:
        """59 random bits."""
        if not self._pool or self._forks != _forks[0]:
            # Also after a fork: parent and child must not draw the same bits.
            self._pool = [value & _NONCE_MASK for value in struct.unpack("<512Q", os.urandom(8 * 512))]
            self._forks = _forks[0]
        return self._pool.pop()
