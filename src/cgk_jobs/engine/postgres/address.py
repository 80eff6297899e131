"""A PostgreSQL address as users write it, for asyncpg and for messages."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from cgk_jobs.errors import NotConfigured

__all__ = ["Address", "parse_address"]

_SCHEME = re.compile(r"^postgres(ql)?(\+[a-z0-9_]+)?$")
_LIBPQ_ONLY = frozenset(
    {
        "channel_binding",
        "connect_timeout",
        "fallback_application_name",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "tcp_user_timeout",
    }
)
"""Options of libpq's client side that asyncpg would send to the server, which refuses them."""


@dataclass(frozen=True, slots=True)
class Address:
    """``dsn`` is for asyncpg and holds the password; ``shown`` (user@host/database) is for messages."""

    dsn: str = field(repr=False)
    shown: str
    user: str
    application_name: str


def parse_address(url: str) -> Address:
    """Understand ``postgresql://``, ``postgres://`` and SQLAlchemy's ``postgresql+driver://``.

    Raises ``NotConfigured`` for another scheme, for text that is no address, and for an option that can't be honoured.
    """
    try:
        parts = urlsplit(url)
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise NotConfigured(f"the database address can't be read ({error}): write {_EXAMPLE}") from None
    if not _SCHEME.match(parts.scheme) or not url.startswith(f"{parts.scheme}://"):
        raise NotConfigured(f"{parts.scheme or 'this'}:// is no PostgreSQL address: write {_EXAMPLE}")
    if parts.fragment:
        raise NotConfigured(f"the database address has a '#': write it as %23 in a password, as in {_EXAMPLE}")
    given = dict(options)
    if given.get("channel_binding") == "require":
        raise NotConfigured(
            "channel_binding=require in the database address can't be met by asyncpg: take it out and keep "
            "sslmode=verify-full, which proves the server's identity"
        )
    kept = [("sslmode" if name == "ssl" else name, value) for name, value in options if name not in _LIBPQ_ONLY]
    login, _, place = parts.netloc.rpartition("@")
    user = unquote(login.partition(":")[0]) or given.get("user", "")
    for host in place.split(","):
        port = host.rpartition("]")[2].partition(":")[2]
        if port and not port.isdecimal():
            raise NotConfigured(f"the port {port!r} in the database address is no number: write {_EXAMPLE}")
    database = unquote(parts.path.removeprefix("/")) or given.get("dbname", "") or given.get("database", "") or user
    where = place or given.get("host", "") or "the default host"
    return Address(
        dsn=urlunsplit(("postgresql", parts.netloc, parts.path or "/", urlencode(kept), "")),
        shown=f"{user + '@' if user else ''}{where}/{database}",
        user=user,
        application_name=given.get("application_name", "cgk_jobs"),
    )


_EXAMPLE = "postgresql://user:password@host:5432/database"
