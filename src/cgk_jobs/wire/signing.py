"""Tokens that leave the installation and come back: claims, readable to whoever holds them, and an HMAC-SHA256 over them.

A token is ``BODY.MAC`` in unpadded base64url. The body is eight bytes of expiry (seconds since 1970) and the claims. The
purpose is part of what is signed and not of the token, so one made for one purpose is worth nothing for another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["MOST_KEYS", "SHORTEST_KEY", "Opened", "Signer", "TokenExpired", "TokenInvalid"]

SHORTEST_KEY = 32
"""Bytes: as many as the digest has, so that guessing the key is no easier than guessing a token."""
MOST_KEYS = 2
"""The one that signs, and the one before it."""
LONGEST_TOKEN = 4_096
"""Characters. Anything longer was not made here, and is not worth hashing."""
_EXPIRY = 8


class TokenInvalid(ValueError):
    """No token of this signer and purpose. The message never has the token in it."""


class TokenExpired(TokenInvalid):
    """A genuine token whose time is over."""


class Opened(NamedTuple):
    """What a genuine token says; ``expires_at`` in seconds since 1970."""

    claims: bytes
    expires_at: int


class Signer:
    """Signs with the first of ``keys`` and accepts all of them, so that a new key takes over without breaking old tokens.

    Raises ``ValueError`` for no key, more than two, or one shorter than 32 bytes.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not 1 <= len(keys) <= MOST_KEYS:
            raise ValueError(f"{len(keys)} signing keys: give one, or two as new,old while they are exchanged")
        shortest = min(map(len, keys))
        if shortest < SHORTEST_KEY:
            raise ValueError(f"a signing key of {shortest} bytes: at least {SHORTEST_KEY}, at random")
        self._keys = tuple(keys)

    def __repr__(self) -> str:
        return f"Signer({len(self._keys)} keys)"

    def sign(self, purpose: str, claims: bytes, expires_at: int) -> str:
        """A token for ``purpose`` that is good until ``expires_at``. Raises ``ValueError`` for claims that make it too long."""
        body = _encoded(expires_at.to_bytes(_EXPIRY, "big") + claims)
        token = body + b"." + _mac(self._keys[0], purpose, body)
        if len(token) > LONGEST_TOKEN:
            raise ValueError(f"a token of {len(token):,} characters: at most {LONGEST_TOKEN:,}")
        return token.decode("ascii")

    def open(self, purpose: str, token: str, now: int) -> Opened:
        """What a token says, at ``now`` (seconds since 1970). Raises ``TokenInvalid``, ``TokenExpired``.

        Nothing of it is decoded before its signature is found good, and how long that takes does not depend on where
        it differs from a good one.
        """
        if len(token) > LONGEST_TOKEN or not token.isascii():
            raise TokenInvalid("not a token")
        body, _, mac = token.encode("ascii").partition(b".")
        # Every key is tried, whichever fits. The text is compared, not what it decodes to: two texts may decode alike.
        genuine = [hmac.compare_digest(_mac(key, purpose, body), mac) for key in self._keys]
        if not any(genuine):
            raise TokenInvalid("the signature is not good")
        data = _decoded(body)
        expires_at = int.from_bytes(data[:_EXPIRY], "big")
        if now >= expires_at:
            raise TokenExpired("the token's time is over")
        return Opened(data[_EXPIRY:], expires_at)


def _mac(key: bytes, purpose: str, body: bytes) -> bytes:
    # A purpose has no NUL in it, so no two pairs of purpose and body are one message.
    return _encoded(hmac.new(key, purpose.encode() + b"\0" + body, hashlib.sha256).digest())


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decoded(text: bytes) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except binascii.Error as error:
        raise TokenInvalid("not a token") from error
