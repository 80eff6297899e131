"""How providers are told of tenants."""

from __future__ import annotations

import hashlib
import hmac

__all__ = ["TenantNames"]


class TenantNames:
    """How providers are told of tenants: by their ids, or, with a ``key``, by a keyed hash that only this side can make."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key

    def key_of(self, tenant_id: str) -> str:
        """What the provider is told."""
        if self._key is None:
            return tenant_id
        return "t" + hmac.new(self._key, tenant_id.encode(), hashlib.sha256).hexdigest()[:32]
