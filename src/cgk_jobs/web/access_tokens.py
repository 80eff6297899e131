"""``jobs.tokens``: signed tokens that grant a part of the API for a while, and taking one back before its time.

A token is readable to its holder and holds no secret. It names its application, tenants, actions, perhaps a run, and an id
of its own. Revoking puts that id on a list in the ledger until the token would have ended by itself; a new
``JOBS_SIGNING_KEY`` ends all of them.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Any, cast

from cgk_jobs.clock import Clock
from cgk_jobs.engine.store import Store
from cgk_jobs.errors import InvalidEvent, InvalidToken, NotConfigured
from cgk_jobs.events.sent import Duration, seconds
from cgk_jobs.web.access import Access
from cgk_jobs.wire.ids import parse_id
from cgk_jobs.wire.json import dumps, loads
from cgk_jobs.wire.signing import Signer, TokenExpired, TokenInvalid

__all__ = ["LONGEST_LIFE", "Tokens"]

LONGEST_LIFE = 90 * 86_400.0
"""Seconds a token may be good for."""
DEFAULT_LIFE = 3_600.0
_PURPOSE = "api-token"
_REVOKED = "revoked-token:"


class Tokens:
    """Issues, opens and revokes the tokens of one application."""

    def __init__(self, keys: Sequence[bytes], app: str, clock: Clock, store: Store) -> None:
        self._signer = Signer(keys) if keys else None
        self._app = app
        self._clock = clock
        self._store = store

    def issue(
        self,
        *,
        tenants: Iterable[str] | None,
        actions: Iterable[str] = ("read",),
        expires: Duration = DEFAULT_LIFE,
        run_id: str | None = None,
        who: str = "",
    ) -> str:
        """A token for these tenants (``None``: all) and actions, good for ``expires`` seconds, at most 90 days.

        Raises ``InvalidEvent`` for what can't be granted and ``NotConfigured`` without ``JOBS_SIGNING_KEY``.
        """
        if isinstance(tenants, str) or isinstance(actions, str):
            raise InvalidEvent('tenants= and actions= are lists, such as ["rawdog"] and ["read"]')
        life = seconds(expires)
        if not 0 < life <= LONGEST_LIFE:
            raise InvalidEvent(f"expires={expires!r}: more than 0 seconds, at most {LONGEST_LIFE / 86_400:g} days")
        access = Access(None if tenants is None else frozenset(tenants), frozenset(actions), run_id, who)
        claims = {
            "id": secrets.token_hex(8), "app": self._app, "actions": sorted(access.actions), "run": run_id, "who": who,
            "tenants": None if access.tenants is None else sorted(access.tenants),
        }  # fmt: skip
        until = -(-(self._clock.micros() + round(life * 1e6)) // 1_000_000)
        try:
            return self._signing().sign(_PURPOSE, dumps(claims).encode(), until)
        except ValueError as error:
            raise InvalidEvent("too many tenants for one token: name fewer") from error

    def for_run(self, run_id: str, *, tenant_id: str, expires: Duration = DEFAULT_LIFE) -> str:
        """A token for a browser that follows one run: it reads that run's state and progress and nothing else."""
        if parse_id(run_id) is None:
            raise InvalidEvent("run_id is none: take it from what send answered")
        return self.issue(tenants=[tenant_id], actions=["read"], expires=expires, run_id=run_id)

    async def open(self, token: str) -> Access:
        """What a token grants. Raises ``InvalidToken`` for one forged, expired, revoked or of another application."""
        claims, _ = self._claims(token)
        if await self._store.was_seen(_REVOKED + str(claims["id"])):
            raise InvalidToken("this token was revoked: ask for a new one")
        tenants = claims["tenants"]
        return Access(
            None if tenants is None else frozenset(tenants), frozenset(claims["actions"]), claims["run"], claims["who"]
        )

    async def revoke(self, token: str) -> bool:
        """Refuse a token from now on, in every process. False if it was revoked before. Raises ``InvalidToken``."""
        claims, expires_at = self._claims(token)
        return await self._store.first_seen(_REVOKED + str(claims["id"]), (expires_at + 1) * 1_000_000)

    def expires_at(self, token: str) -> int:
        """When a token ends, in seconds since 1970. Raises ``InvalidToken``."""
        return self._claims(token)[1]

    def _signing(self) -> Signer:
        if self._signer is None:
            raise NotConfigured(
                "tokens need JOBS_SIGNING_KEY, the same in every process; make one with: "
                "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        return self._signer

    def _claims(self, token: str) -> tuple[dict[str, Any], int]:
        if self._signer is None:
            raise InvalidToken("this token is not valid here")
        try:
            opened = self._signer.open(_PURPOSE, token, self._clock.micros() // 1_000_000)
        except TokenExpired as error:
            raise InvalidToken("this token's time is over: ask for a new one", expired=True) from error
        except TokenInvalid as error:
            raise InvalidToken("this token is not valid here") from error
        claims = cast("dict[str, Any]", loads(opened.claims))
        if claims["app"] != self._app:
            raise InvalidToken("this token is not valid here")
        return claims, opened.expires_at
