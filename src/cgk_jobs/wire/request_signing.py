"""Signed requests between this application and the projects it generates: time, nonce, method, path and body under an HMAC.

    x-cgk-timestamp   seconds since 1970
    x-cgk-nonce       16 to 64 characters of A-Z a-z 0-9 _ -, new for each request
    x-cgk-signature   v1=<hex>, up to four with commas between: one for each key the sender has

What is signed is ``v1``, timestamp, nonce, method, path (as the sender addresses it, without the query) and the SHA-256 of the body
in hex, a line each. With two keys on both sides, ``new,old``, either side may be given the new one first.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple

from cgk_jobs.wire.signing import MOST_KEYS, SHORTEST_KEY

__all__ = ["TOLERANCE", "Presented", "RequestSigner", "SignatureRefused"]

TOLERANCE = 300
"""Seconds by which a request may be older or newer than this machine's clock."""

TIMESTAMP, NONCE, SIGNATURE = "x-cgk-timestamp", "x-cgk-nonce", "x-cgk-signature"
_TIME = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
_SIGNATURES = re.compile(r"v1=[0-9a-f]{64}(?:,v1=[0-9a-f]{64}){0,3}", re.ASCII)


class SignatureRefused(Exception):
    """Why a request is not let in: for the log, never for the caller."""


class Presented(NamedTuple):
    """What a request says of itself, of good form and in time; whether it is true, the signature says."""

    timestamp: int
    nonce: str
    signatures: tuple[str, ...]

    @property
    def until(self) -> int:
        """Until when (seconds since 1970) it would be let in, and its nonce must be remembered."""
        return self.timestamp + TOLERANCE + 1


class RequestSigner:
    """Signs with every key of ``keys`` and lets in what is signed with any. Raises ``ValueError`` as ``Signer`` does."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not 1 <= len(keys) <= MOST_KEYS:
            raise ValueError(f"{len(keys)} signing keys: give one, or two as new,old while they are exchanged")
        if min(map(len, keys)) < SHORTEST_KEY:
            raise ValueError(f"a signing key of fewer than {SHORTEST_KEY} bytes")
        self._keys = tuple(keys)

    def __repr__(self) -> str:
        return f"RequestSigner({len(self._keys)} keys)"

    def sign(self, method: str, path: str, body: bytes, now: int, nonce: str | None = None) -> dict[str, str]:
        """The headers of a request that is sent at ``now`` (seconds since 1970)."""
        nonce = nonce or secrets.token_urlsafe(18)
        message = _message(now, nonce, method, path, body)
        signatures = ",".join(f"v1={_mac(key, message)}" for key in self._keys)
        return {TIMESTAMP: str(now), NONCE: nonce, SIGNATURE: signatures}

    def read(self, header: Callable[[str], str | None], now: int) -> Presented:
        """What the headers say, before the body is read. ``header``: by name, ``None`` if it isn't there exactly once.

        Raises ``SignatureRefused`` for what is missing, of another form, too old or too new.
        """
        timestamp, nonce, signatures = header(TIMESTAMP), header(NONCE), header(SIGNATURE)
        if timestamp is None or nonce is None or signatures is None:
            raise SignatureRefused("not there, or there twice")
        if not (_TIME.fullmatch(timestamp) and _NONCE.fullmatch(nonce) and _SIGNATURES.fullmatch(signatures)):
            raise SignatureRefused("of another form")
        if abs(int(timestamp) - now) > TOLERANCE:
            raise SignatureRefused("too old, or from the future: look at both clocks")
        return Presented(int(timestamp), nonce, tuple(part.removeprefix("v1=") for part in signatures.split(",")))

    def check(self, presented: Presented, method: str, path: str, body: bytes) -> None:
        """Raises ``SignatureRefused`` if no key made any of the signatures.

        All are compared, whichever fits, so how long it takes says nothing. The nonce is for the caller to remember.
        """
        message = _message(presented.timestamp, presented.nonce, method, path, body)
        good = [
            hmac.compare_digest(_mac(key, message), signature)
            for key in self._keys
            for signature in presented.signatures
        ]
        if not any(good):
            raise SignatureRefused("made with another key, or for another request")


def _message(timestamp: int, nonce: str, method: str, path: str, body: bytes) -> bytes:
    return "\n".join(("v1", str(timestamp), nonce, method, path, hashlib.sha256(body).hexdigest())).encode()


def _mac(key: bytes, message: bytes) -> str:
    return hmac.new(key, message, hashlib.sha256).hexdigest()
