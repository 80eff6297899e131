"""Signatures as the service writes them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Any

from cgk_jobs.wire.json import dumps

__all__ = ["sign"]


def sign(key: str, url: str, body: bytes, now: float, /, **claims: Any) -> str:
    """A token for ``body`` at ``url``, good for five minutes from ``now`` (unix seconds).

    ``claims`` take the place of the usual ones; ``None`` leaves one out. ``alg`` is the header's.
    """
    header = {"alg": claims.pop("alg", "HS256"), "typ": "JWT"}
    usual: dict[str, Any] = {
        "iss": "Upstash",
        "sub": url,
        "exp": int(now) + 300,
        "nbf": int(now),
        "iat": int(now),
        "jti": f"jwt_{secrets.token_urlsafe(21)}",
        "body": base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode(),
    }
    said = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    signed = f"{_encoded(dumps(header).encode())}.{_encoded(dumps(said).encode())}"
    return f"{signed}.{_encoded(hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest())}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
