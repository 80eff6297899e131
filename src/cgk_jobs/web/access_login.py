"""``POST /login`` and ``POST /logout``: a token for a cookie, and back."""

from __future__ import annotations

from collections import OrderedDict
from http.cookies import SimpleCookie
from urllib.parse import parse_qs

from cgk_jobs.clock import Clock
from cgk_jobs.errors import ForeignDatabase, ProviderUnavailable
from cgk_jobs.web.access import Refused
from cgk_jobs.web.access_gate import COOKIE, Gate, require_same_origin
from cgk_jobs.wire.asgi import BadRequest, Receive, Scope, Send, answer, header_of, read_body

__all__ = ["Login"]

LONGEST_FORM = 8_192
MOST_FAILURES = 10
"""Failed logins of one address in a minute; more are answered 429 without a look at the token."""
_MOST_ADDRESSES = 10_000
_WINDOW = 60_000_000


class Login:
    """The two ASGI applications that begin and end a session. The form's page is the dashboard's."""

    def __init__(self, gate: Gate, clock: Clock) -> None:
        self._gate = gate
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, int]] = OrderedDict()

    async def login(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take ``token`` of a form and answer with the cookie; 303 to the pages."""
        try:
            if scope["method"] != "POST":
                raise Refused(405, "log in with POST")
            require_same_origin(scope)
            self._slow_down(scope)
            if (header_of(scope, "content-type") or "").partition(";")[
                0
            ].strip() != "application/x-www-form-urlencoded":
                raise Refused(415, "send the token as a form: token=TOKEN")
            body = await read_body(scope, receive, LONGEST_FORM)
            given = parse_qs(body.decode(), max_num_fields=10).get("token", [])
            if len(given) != 1:
                raise Refused(400, "send the token as a form: token=TOKEN")
            try:
                value, life = await self._gate.session(given[0])
            except Refused:
                self._failed(scope)
                raise
            await _go(scope, send, value, life)
        except BadRequest as error:
            await answer(send, error.status, {"error": str(error)})
        except (ProviderUnavailable, ForeignDatabase, OSError):
            await answer(send, 503, {"error": "not available at the moment"}, {"retry-after": "5"})
        except ValueError:
            await answer(send, 400, {"error": "the form can't be read: send token=TOKEN"})
        except Refused as error:
            headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
            await answer(send, error.status, {"error": error.reason}, headers)

    async def logout(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forget the cookie."""
        del receive
        try:
            if scope["method"] != "POST":
                raise Refused(405, "log out with POST")
            require_same_origin(scope)
        except Refused as error:
            await answer(send, error.status, {"error": error.reason})
            return
        await _go(scope, send, "", 0)

    def _slow_down(self, scope: Scope) -> None:
        count, since = self._failures.get(_address(scope), (0, 0))
        left = since + _WINDOW - self._clock.micros()
        if count >= MOST_FAILURES and left > 0:
            raise Refused(429, "too many failed logins: wait a minute", retry_after=left // 1_000_000 + 1)

    def _failed(self, scope: Scope) -> None:
        address, now = _address(scope), self._clock.micros()
        count, since = self._failures.pop(address, (0, now))
        self._failures[address] = (count + 1, since) if now < since + _WINDOW else (1, now)
        if len(self._failures) > _MOST_ADDRESSES:
            self._failures.popitem(last=False)


def _address(scope: Scope) -> str:
    peer = scope.get("client")
    return str(peer[0]) if peer else ""


async def _go(scope: Scope, send: Send, value: str, life: int) -> None:
    root = scope.get("root_path", "").rstrip("/")
    cookie: SimpleCookie = SimpleCookie()
    cookie[COOKIE] = value
    kept = cookie[COOKIE]
    kept["httponly"], kept["samesite"], kept["path"], kept["max-age"] = True, "Strict", root or "/", life
    if scope.get("scheme") == "https":
        kept["secure"] = True
    await answer(send, 303, None, {"location": root + "/", "set-cookie": kept.OutputString()})
