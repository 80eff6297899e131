"""The page behind an approval link: it shows what is asked, and sends the answer once a person presses its button."""

from __future__ import annotations

from collections.abc import Awaitable
from html import escape
from typing import Any, Protocol
from urllib.parse import parse_qsl

from pydantic import TypeAdapter, ValidationError

from cgk_jobs.approvals import Approval
from cgk_jobs.errors import InvalidToken, JobsError, ProviderUnavailable
from cgk_jobs.events.sent import Sent
from cgk_jobs.wire.asgi import BadRequest, Receive, Scope, Send, read_body

__all__ = ["ApprovalPage", "Approver"]

LONGEST_FORM = 64_000
"""Bytes of an answer."""

_HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # The address is the authority: no other site may learn it, frame the page, or add to it.
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    ),
)
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>{title}</title>
<style>:root{{color-scheme:light dark}}body{{font:1rem/1.5 system-ui;max-width:36rem;margin:3rem auto;padding:0 1rem}}
dt{{font-weight:600}}label{{display:block;margin:.75rem 0}}input,select{{font:inherit;padding:.25rem}}button{{font:inherit;padding:.5rem 1rem}}</style>
<h1>{title}</h1>{body}</html>"""


class Approver(Protocol):
    """The part of an application that answers links."""

    def approval(self, token: str, /) -> Awaitable[Approval]:
        """What a link asks for."""
        ...

    def approve(self, token: str, /, **fields: Any) -> Awaitable[Sent]:
        """Answer it."""
        ...


class ApprovalPage:
    """The ASGI application below ``/approve/``. A visit changes nothing: mail programs and chats visit links by themselves."""

    def __init__(self, approver: Approver, token: str) -> None:
        self._approver = approver
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Show the question, or take the answer."""
        try:
            if scope["method"] in ("GET", "HEAD"):
                await _show(send, 200, "A decision is asked for", _question(await self._approver.approval(self._token)))
            elif scope["method"] == "POST":
                await self._answer(scope, receive, send)
            else:
                await _show(send, 405, "Not possible", "<p>This page is visited, and its form sent.</p>")
        except InvalidToken as error:
            text = "This link is too old." if error.expired else "This link is not valid. Was it copied as a whole?"
            await _show(send, 404, "No such decision", f"<p>{text}</p>")
        except BadRequest as error:
            await _show(send, error.status, "Not possible", "<p>The answer could not be read.</p>")
        except ProviderUnavailable:
            await _show(send, 503, "Not possible at the moment", "<p>Please try again in a minute.</p>")
        except JobsError as error:
            await _show(send, 409, "Not possible", f"<p>{escape(str(error))}</p>")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = await self._approver.approval(self._token)
        body = await read_body(scope, receive, LONGEST_FORM)
        try:
            given = dict(
                parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=200)
            )
            fields = _fields(asked, given)
        except (UnicodeDecodeError, ValidationError, ValueError):
            await _show(send, 400, "The answer is not complete", _question(asked))
            return
        sent = await self._approver.approve(self._token, **fields)
        again = " It had been given before." if sent.status == "duplicate" else ""
        await _show(send, 200, "Thank you", f"<p>Your answer is taken.{again}</p>")


def _fields(asked: Approval, given: dict[str, str]) -> dict[str, Any]:
    """The answer's fields, read by their types. One that was left empty is not given."""
    found: dict[str, Any] = {}
    for name in asked.asks:
        kind: Any = asked.event.model_fields[name].annotation
        if given.get(name) or name in asked.required:
            found[name] = TypeAdapter[Any](kind).validate_strings(given.get(name, ""))
    return found


def _question(asked: Approval) -> str:
    shown: dict[str, Any] = {"Event": asked.event.event_name, "For": asked.tenant_id, "Task": asked.task}
    shown |= asked.fields
    lines = "".join(f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>" for name, value in shown.items())
    inputs = "".join(_input(asked, name) for name in asked.asks)
    until = f"{asked.expires_at:%Y-%m-%d %H:%M} UTC"
    return (
        f"<dl>{lines}</dl><form method=post>{inputs}<p><button>Send this answer</button></p></form>"
        f"<p><small>This link is good until {until}. Whoever has it can answer.</small></p>"
    )


def _input(asked: Approval, name: str) -> str:
    label = escape(name)
    kind = asked.event.model_fields[name].annotation
    required = " required" if name in asked.required else ""
    if kind is bool:
        return (
            f'<label>{label} <select name="{label}"{required}><option value=""></option><option value="true">yes</option>'
            "<option value=false>no</option></select></label>"
        )
    number = " type=number" if kind is int else ""
    return f'<label>{label} <input name="{label}"{number}{required}></label>'


async def _show(send: Send, status: int, title: str, body: str) -> None:
    page = _PAGE.format(title=escape(title), body=body).encode("utf-8", "replace")
    headers = [*_HEADERS, (b"content-length", str(len(page)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": page})
