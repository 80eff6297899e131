"""The signature of a call by QStash: a JSON Web Token over the address, the time and the body's hash.

Nothing of a token is decoded before its MAC is found good with one of the two keys, and every key is tried, whichever fits.
The vendor's own Python reader knows no clock tolerance, no age and no replay; this one does.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from cgk_jobs.providers.calls import CallRefused
from cgk_jobs.wire.json import loads

__all__ = ["Claims", "TokenRefused", "fits_body", "open_token"]

LONGEST_TOKEN = 4_096
"""Characters. A token of the vendor has some 400; anything longer is not worth hashing."""
OLDEST = 300
"""Seconds since it was signed. The vendor signs each delivery anew, just before it."""
AHEAD = 60
"""Seconds by which the vendor's clock may be ahead of this one."""


class Claims(NamedTuple):
    """What a good token says. ``name`` is this token's alone; ``until`` when it ends (unix seconds); ``body_hash`` as in it."""

    name: str
    until: int
    body_hash: str


class TokenRefused(CallRefused):
    """Why a token is not good: for the log, never for the caller. ``genuine``: it was signed with one of the keys."""


def open_token(token: str, keys: Sequence[bytes], url: str, now: float) -> Claims:
    """The claims of a token for ``url`` (exactly the address the vendor was given). Raises ``TokenRefused``."""
    if len(token) > LONGEST_TOKEN or not token.isascii():
        raise TokenRefused("not a token")
    signed, _, mac = token.rpartition(".")
    if signed.count(".") != 1:
        raise TokenRefused("not a token")
    # The text is compared, not what it decodes to: two texts may decode alike.
    good = [hmac.compare_digest(_mac(key, signed), mac) for key in keys]
    if not any(good):
        raise TokenRefused("its signature fits neither key")
    head, _, payload = signed.partition(".")
    header, claims = _object(head), _object(payload)
    if header.get("alg") != "HS256" or "crit" in header:
        raise TokenRefused("not HS256", genuine=True)
    if claims.get("iss") != "Upstash":
        raise TokenRefused("not issued by Upstash", genuine=True)
    if claims.get("sub") != url:
        raise TokenRefused("signed for another address than JOBS_PUBLIC_URL and this path", genuine=True)
    moments = [claims.get(name) for name in ("exp", "nbf", "iat")]
    if not all(isinstance(moment, int) and not isinstance(moment, bool) for moment in moments):
        raise TokenRefused("without its times", genuine=True)
    exp, nbf, iat = cast(list[int], moments)
    if now >= exp or now - iat > OLDEST:
        raise TokenRefused("too old: is the clock of this machine right?", genuine=True)
    if max(nbf, iat) > now + AHEAD:
        raise TokenRefused("from the future: is the clock of this machine right?", genuine=True)
    name, body_hash = claims.get("jti"), claims.get("body")
    if not isinstance(name, str) or not 0 < len(name) <= 256 or not isinstance(body_hash, str):
        raise TokenRefused("without an id or the hash of its body", genuine=True)
    return Claims(name, min(exp, iat + OLDEST + 1), body_hash)


def fits_body(claims: Claims, body: bytes) -> bool:
    """Whether ``body`` is what was signed."""
    ours = _encoded(hashlib.sha256(body).digest())
    return hmac.compare_digest(ours.encode(), claims.body_hash.rstrip("=").encode())


def _mac(key: bytes, signed: str) -> str:
    return _encoded(hmac.new(key, signed.encode(), hashlib.sha256).digest())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _object(text: str) -> dict[str, Any]:
    try:
        value = loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        value = None
    if not isinstance(value, dict):
        raise TokenRefused("not of JSON", genuine=True)
    return cast(dict[str, Any], value)
