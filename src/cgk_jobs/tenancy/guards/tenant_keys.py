"""The tenant in front of a key, and off again in what Redis answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from cgk_jobs.errors import NotConfigured, TenantMismatch, Unsupported
from cgk_jobs.tenancy.context import current_tenant
from cgk_jobs.tenancy.guards.redis_keys import command_of, key_positions

__all__ = ["KeySpace", "Reply", "require_same_pipeline_tenant", "tenant_key"]

_is_namespace = re.compile(r"[A-Za-z0-9_.-]+").fullmatch

_ANSWER_WITH_A_KEY = frozenset(("BLPOP", "BRPOP", "BZPOPMAX", "BZPOPMIN", "LMPOP", "BLMPOP", "ZMPOP", "BZMPOP"))
_ANSWER_WITH_STREAMS = frozenset(("XREAD", "XREADGROUP"))


def tenant_key(key: str, *, namespace: str = "tenant") -> str:
    """The name that ``key`` of the current tenant has in Redis: ``tenant:acme:…``.

    For clients, channels and keys that no guard is put around. Raises ``TenantRequired`` outside a tenant.
    """
    return KeySpace(namespace).prefix(current_tenant()) + key


@dataclass(frozen=True, slots=True)
class Reply:
    """How the answer to one command is turned back into the tenant's own names."""

    command: str
    prefix: str

    def own(self, answer: Any) -> Any:
        """``answer`` without the prefix on the keys in it."""
        if isinstance(answer, Exception):
            return answer
        if self.command == "SCAN":
            cursor, keys = answer
            return cursor, [self._bare(key) for key in keys if self._is_own(key)]
        if self.command in _ANSWER_WITH_A_KEY and answer:
            return self._headed(answer)
        if self.command in _ANSWER_WITH_STREAMS and answer:
            if hasattr(answer, "items"):
                return {self._bare(stream): entries for stream, entries in answer.items()}
            return [self._headed(item) for item in answer]
        return answer

    def _headed(self, answer: Any) -> Any:
        """A list or tuple that begins with a key. Errors, and a pipeline's answer to what was only staged, are none."""
        if not isinstance(answer, (list, tuple)):
            return answer
        first, *rest = cast("list[Any]", answer)
        own = [self._bare(first), *rest]
        return own if isinstance(answer, list) else tuple(own)

    def _is_own(self, key: str | bytes) -> bool:
        return key.startswith(self.prefix) if isinstance(key, str) else key.startswith(self.prefix.encode())

    def _bare(self, key: Any) -> Any:
        return key[len(self.prefix) :] if isinstance(key, (str, bytes)) and self._is_own(key) else key


@dataclass(frozen=True, slots=True)
class KeySpace:
    """The keys of all tenants: ``namespace:tenant:key``. No tenant id has a colon, so no tenant's keys begin like another's."""

    namespace: str = "tenant"

    def __post_init__(self) -> None:
        if _is_namespace(self.namespace) is None:
            raise NotConfigured(f"namespace={self.namespace!r} must be of letters, digits and _ . -")

    def prefix(self, tenant_id: str) -> str:
        """What the keys of a tenant begin with."""
        return f"{self.namespace}:{tenant_id}:"

    def rewrite(
        self, tenant_id: str, arguments: Sequence[Any], options: dict[str, Any]
    ) -> tuple[list[Any], dict[str, Any], Reply]:
        """A command as it is sent for a tenant, its options, and how its answer is turned back.

        Raises ``Unsupported`` if it can't be kept to the tenant's keys.
        """
        prefix = self.prefix(tenant_id)
        command, _ = command_of(arguments)
        rewritten = list(arguments)
        if command == "SCAN":
            rewritten = _scan(rewritten, prefix)
        else:
            for position in key_positions(arguments):
                rewritten[position] = _prefixed(prefix, rewritten[position])
        if options.get("keys"):
            # Under these redis-py's own cache files the answer.
            options = {**options, "keys": [_prefixed(prefix, key) for key in options["keys"]]}
        return rewritten, options, Reply(command, prefix)


def require_same_pipeline_tenant(began: str, current: str) -> None:
    """Refuse to go on with another tenant's pipeline. Raises ``TenantMismatch``."""
    if began != current:
        raise TenantMismatch(
            f"this pipeline holds commands of tenant {began!r} and {current!r} is current now: make one in each tenant's block"
        )


def _prefixed(prefix: str, key: Any) -> str | bytes:
    if isinstance(key, str):
        return prefix + key
    if isinstance(key, (bytes, bytearray, memoryview)):
        return prefix.encode() + bytes(cast("bytes", key))
    if isinstance(key, (int, float)) and not isinstance(key, bool):
        return f"{prefix}{key!r}"
    raise Unsupported(f"a key of type {type(key).__name__}", "a tenant's cache", "Use str or bytes")


def _scan(arguments: list[Any], prefix: str) -> list[Any]:
    """SCAN that matches inside the prefix alone. The prefix has nothing in it that a pattern would understand otherwise."""
    # All of them: the server goes by the last MATCH it is given.
    patterns = [at + 1 for at in range(2, len(arguments) - 1, 2) if command_of(arguments[at:])[0] == "MATCH"]
    for at in patterns:
        arguments[at] = _prefixed(prefix, arguments[at])
    return arguments if patterns else [*arguments[:2], "MATCH", f"{prefix}*", *arguments[2:]]
