"""What QStash has given up, to look at and to ring again; and everything of one tenant, to be taken back.

For operators. The ledger needs none of it: a run whose wake-up is lost gets another one. Each call names what it is about,
ids or a tenant, because the vendor takes a call that names nothing to mean everything of the whole account.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from cgk_jobs.errors import ProviderUnavailable
from cgk_jobs.wire.http import HttpClient

__all__ = ["DeadLetter", "DeadLetters"]

PER_PAGE = 100
_ID = re.compile(r"[A-Za-z0-9_-]{1,200}", re.ASCII)
_TENANT = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)


class DeadLetter(NamedTuple):
    """A message given up. ``status``: of the last answer, 0 if there was none. ``id``: the dead letter's own."""

    id: str
    message_id: str
    status: int
    labels: tuple[str, ...]


class DeadLetters:
    """The dead letters of messages to ``destination``; those of other applications in the account are never touched."""

    def __init__(self, http: HttpClient, destination: str) -> None:
        self._http, self._destination = http, destination

    async def list(self, *, tenant_key: str | None = None, cursor: str = "") -> tuple[list[DeadLetter], str]:
        """A page, of one tenant or of all, and the cursor of the next (empty: that was the last)."""
        query = [("url", self._destination), ("count", str(PER_PAGE))]
        if tenant_key is not None:
            query.append(("label", _label(tenant_key)))
        if cursor:
            query.append(("cursor", cursor))
        found = _fields((await self._http.call("GET", "/v2/dlq", query=query)).json)
        messages = found.get("messages")
        if not isinstance(messages, list):
            raise ProviderUnavailable("QStash answered the list of dead letters with something unknown")
        more = found.get("cursor")
        letters = [_letter(_fields(message)) for message in cast("list[object]", messages)]
        return letters, more if isinstance(more, str) else ""

    async def replay(self, ids: Sequence[str]) -> int:
        """Ring them again; each becomes a new message. Returns how many were still there."""
        replayed = 0
        for id in _checked(ids):
            answer = await self._http.call("POST", "/v2/dlq/retry/{id}", values={"id": id}, expect=(404,))
            replayed += answer.status != 404
        return replayed

    async def forget(self, ids: Sequence[str]) -> int:
        """Remove them. Returns how many were still there."""
        removed = 0
        for id in _checked(ids):
            answer = await self._http.call("DELETE", "/v2/dlq/{id}", values={"id": id}, expect=(404,))
            removed += answer.status != 404
        return removed

    async def withdraw_tenant(self, tenant_key: str) -> int:
        """Take back every message of one tenant that waits for this application. Returns how many there were."""
        withdrawn = 0
        while True:
            answer = await self._http.call(
                "DELETE",
                "/v2/messages",
                query=[("label", _label(tenant_key)), ("url", self._destination), ("count", str(PER_PAGE))],
            )
            count = _fields(answer.json).get("cancelled")
            if not isinstance(count, int):
                raise ProviderUnavailable("QStash answered a withdrawal with something unknown; call it again")
            withdrawn += count
            if count < PER_PAGE:
                return withdrawn


def _label(tenant_key: str) -> str:
    # An empty label would be no filter, and without a filter everything goes.
    if not _TENANT.fullmatch(tenant_key):
        raise ValueError("a tenant's key: 1 to 128 letters, digits, - and _")
    return f"tenant-{tenant_key}"


def _checked(ids: Sequence[str]) -> Sequence[str]:
    if isinstance(ids, str) or not all(_ID.fullmatch(id) for id in ids):
        raise ValueError("a list of ids of dead letters, as DeadLetters.list gives them")
    return ids


def _letter(fields: dict[str, Any]) -> DeadLetter:
    id, message, status, label = (fields.get(name) for name in ("dlqId", "messageId", "responseStatus", "label"))
    if not isinstance(id, str) or not isinstance(message, str):
        raise ProviderUnavailable("QStash listed a dead letter that is something unknown")
    labels = tuple(label.split(",")) if isinstance(label, str) and label else ()
    return DeadLetter(id, message, status if isinstance(status, int) else 0, labels)


def _fields(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
