"""The gate before pages and API: finds out by token, login or place who calls, before a body is read."""

from __future__ import annotations

import hashlib
import hmac
import inspect
import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from cgk_jobs.clock import Clock
from cgk_jobs.errors import InvalidToken
from cgk_jobs.web.access import EVERYTHING, Access, Refused
from cgk_jobs.web.access_tokens import Tokens
from cgk_jobs.wire.asgi import Scope, header_of
from cgk_jobs.wire.signing import Signer, TokenInvalid

__all__ = ["COOKIE", "SESSION_SECONDS", "Authorize", "Gate"]

Authorize = Callable[[Scope], "Access | Awaitable[Access | None] | None"]
"""The application's own login: what a request may do, ``None`` for one that is not logged in."""

COOKIE = "cgk_jobs_session"
SESSION_SECONDS = 8 * 3_600
_PURPOSE = "session"
_FORWARDING = (
    "forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-server", "x-real-ip",
    "x-client-ip", "true-client-ip", "cf-connecting-ip", "x-original-host", "x-envoy-external-address",
)  # fmt: skip
_OPEN = (
    "no login is configured, so only this machine is served: set JOBS_DASHBOARD_TOKEN, or use jobs.asgi(authorize=…)"
)


class Gate:
    """Decides for each request. ``operator``: ``JOBS_DASHBOARD_TOKEN``, which grants everything.

    Without ``operator`` and ``authorize``, callers on this machine are granted everything: a loopback peer that names a
    loopback host, and no trace of a proxy.
    """

    def __init__(
        self, tokens: Tokens, clock: Clock, operator: str | None, keys: Sequence[bytes], authorize: Authorize | None
    ) -> None:
        self._tokens = tokens
        self._clock = clock
        self._operator = None if operator is None else _digest(operator)
        self._authorize = authorize
        # The operator's token is part of the key: a new one ends the sessions the old one opened.
        secret = (operator or "").encode()
        made = [hmac.new(key, b"session\0" + secret, hashlib.sha256).digest() for key in keys or [secret] if key]
        self._sessions = Signer(made) if made else None

    @property
    def has_login(self) -> bool:
        """Whether a person can log in with a token."""
        return self._operator is not None or self._sessions is not None

    async def access(self, scope: Scope) -> Access | None:
        """What the request may do; ``None``: it brings nothing to be known by.

        Raises ``Refused``: 401 for a token that is not good, 403 where no login is configured and the caller is not on this
        machine, or where another site's page sent a write.
        """
        names = [key.lower() for key, _ in scope["headers"]]
        if b"authorization" in names:
            kind, _, token = (header_of(scope, "authorization") or "").partition(" ")
            if kind.lower() != "bearer":
                raise Refused(401, "send the token as: Authorization: Bearer TOKEN, once")
            return await self.opened(token.strip())
        found = await self._by_itself(scope)
        if found is not None and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            # The browser sends a cookie, or comes from this machine, whoever wrote the page: which page is asked for.
            require_same_origin(scope)
        return found

    async def opened(self, token: str) -> Access:
        """What a token grants, the operator's or a signed one. Raises ``Refused``."""
        if self._operator is not None and hmac.compare_digest(_digest(token), self._operator):
            return EVERYTHING
        try:
            return await self._tokens.open(token)
        except InvalidToken as error:
            raise Refused(401, str(error)) from error

    async def _by_itself(self, scope: Scope) -> Access | None:
        if self._authorize is not None:
            answer = self._authorize(scope)
            granted = await answer if inspect.isawaitable(answer) else answer
            if granted is not None:
                return granted
        session = _cookie(scope)
        if session is not None and self._sessions is not None:
            return await self._session(session)
        if self._operator is not None or self._authorize is not None:
            return None
        require_this_machine(scope)
        return EVERYTHING

    async def _session(self, text: str) -> Access | None:
        """A session is a token inside a signed cookie, asked about each time: revoked with it, and never longer."""
        if self._sessions is None:
            return None
        try:
            opened = self._sessions.open(_PURPOSE, text, self._clock.micros() // 1_000_000)
            return EVERYTHING if opened.claims == b"operator" else await self.opened(opened.claims.decode())
        except (TokenInvalid, Refused):
            return None

    async def session(self, token: str) -> tuple[str, int]:
        """A cookie's value for who logs in with ``token``, and its seconds. Raises ``Refused`` for a token that is not good."""
        access = await self.opened(token)
        if self._sessions is None or access.run_id is not None:
            raise Refused(401, "this token is for one run: it opens no page")
        now = self._clock.micros() // 1_000_000
        if access is EVERYTHING:
            return self._sessions.sign(_PURPOSE, b"operator", now + SESSION_SECONDS), SESSION_SECONDS
        life = max(1, min(SESSION_SECONDS, self._tokens.expires_at(token) - now))
        try:
            return self._sessions.sign(_PURPOSE, token.encode(), now + life), life
        except ValueError as error:
            raise Refused(401, "this token names too many tenants for a login: ask for one with fewer") from error


def require_this_machine(scope: Scope) -> None:
    """Refuse whoever is not, beyond doubt, on this machine: a proxy on it may speak for anybody. Raises ``Refused``."""
    peer = scope.get("client")
    names = {key.lower().decode("latin-1") for key, _ in scope["headers"]}
    # Proxies that tell nothing speak HTTP/1.0 to what is behind them; browsers and clients do not.
    proxied = not names.isdisjoint(_FORWARDING) or scope.get("http_version") == "1.0"
    if not peer or not _is_loopback(str(peer[0])) or proxied or not _is_loopback(_host(scope)):
        raise Refused(403, _OPEN)


def require_same_origin(scope: Scope) -> None:
    """Refuse a write that a page of another site caused. Raises ``Refused``."""
    names = [key.lower() for key, _ in scope["headers"]]
    site, origin = header_of(scope, "sec-fetch-site"), header_of(scope, "origin")
    wrong = names.count(b"origin") > 1 or names.count(b"sec-fetch-site") > 1
    wrong = wrong or (site is not None and site not in ("same-origin", "none"))
    if origin is not None:
        wrong = wrong or origin == "null" or _netloc(origin) != (header_of(scope, "host") or "").lower()
    if wrong:
        raise Refused(403, "another site's page sent this: open the page here and press the button again")


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _host(scope: Scope) -> str:
    try:
        return urlsplit("//" + (header_of(scope, "host") or "")).hostname or ""
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _digest(token: str) -> bytes:
    """Of one length, so that comparing tells nothing of the token's."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _cookie(scope: Scope) -> str | None:
    text = header_of(scope, "cookie")
    if text is None:
        return None
    try:
        found = SimpleCookie(text).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value
