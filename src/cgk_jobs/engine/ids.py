"""UUIDv7 ids made of a row's time-ordered sequence number and random bits (RFC 9562, section 5.7).

``seq`` is 63 bits: 48 bits of milliseconds since 1970 and a 15-bit counter within the millisecond. The id therefore
leads back to the row by its integer primary key, and no unique index on ids is needed.
"""

from __future__ import annotations

import uuid

__all__ = ["COUNTER_BITS", "NONCE_BITS", "parse_id", "to_id"]

COUNTER_BITS = 15
NONCE_BITS = 59
_NONCE_MASK = (1 << NONCE_BITS) - 1
_VERSION_AND_VARIANT = (7 << 76) | (2 << 62)


def to_id(seq: int, nonce: int) -> str:
    """The UUIDv7 text of a row."""
    counter = seq & 0x7FFF
    value = ((seq >> COUNTER_BITS) << 80) | ((counter >> 3) << 64) | ((counter & 7) << NONCE_BITS) | nonce
    text = f"{value | _VERSION_AND_VARIANT:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def parse_id(text: str) -> tuple[int, int] | None:
    """``(seq, nonce)`` of an id, or ``None`` if the text is no id made by :func:`to_id`."""
    try:
        value = uuid.UUID(text).int
    except ValueError:
        return None
    if value & ((0xF << 76) | (3 << 62)) != _VERSION_AND_VARIANT:
        return None
    counter = ((value >> 64) & 0xFFF) << 3 | ((value >> NONCE_BITS) & 7)
    return ((value >> 80) << COUNTER_BITS) | counter, value & _NONCE_MASK
