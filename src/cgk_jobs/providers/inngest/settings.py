"""What Inngest needs to be told, and whether it can be right. No message repeats a value: most of them are secret."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cgk_jobs.errors import NotConfigured
from cgk_jobs.providers.addresses import LOCAL, check_reachable, host_of
from cgk_jobs.providers.provider import Setup, SetupKey

__all__ = ["OPTIONS", "SETUP", "InngestSettings", "read_options", "read_settings"]

API = "https://api.inngest.com"
EVENTS = "https://inn.gs"
DEV = "http://127.0.0.1:8288"
PAGE = "https://app.inngest.com/env/production/manage"

OPTIONS = {
    "JOBS_INNGEST_CONCURRENCY": "concurrency",
    "JOBS_INNGEST_TENANT_CONCURRENCY": "tenant_concurrency",
    "JOBS_INNGEST_FUNCTIONS_PER_APP": "functions_per_app",
    "JOBS_INNGEST_FUNCTION_EACH": "function_each",
    "JOBS_INNGEST_SCHEDULE_EACH": "schedule_each",
    "JOBS_INNGEST_DRAIN_SECONDS": "drain_seconds",
    "JOBS_INNGEST_RETRIES": "retries",
    "JOBS_INNGEST_CONNECT": "connect",
}
"""Options of ``InngestProvider`` that are whole numbers, by their variables (the ``…_EACH`` and ``CONNECT``: 1 or 0)."""
_FLAGS = frozenset({"function_each", "schedule_each", "connect"})

_EVENT_KEY = r"[A-Za-z0-9_-]{8,256}"
_SIGNING_KEY = r"(?:signkey-[a-z0-9]+-)?(?:[0-9a-fA-F]{2}){8,64}"

SETUP = Setup(
    title="Inngest",
    sign_up="https://app.inngest.com/sign-up",
    keys=(
        SetupKey("INNGEST_EVENT_KEY", f"{PAGE}/keys", "Event keys, Default ingest", _EVENT_KEY, "some 90 letters and digits"),
        SetupKey("INNGEST_SIGNING_KEY", f"{PAGE}/signing-key", "Signing key", _SIGNING_KEY, "signkey-prod-…"),
        SetupKey(
            "INNGEST_ENV", PAGE, "only for a branch environment: its name", r"[A-Za-z0-9_/.-]{1,128}", "",
            secret=False, required=False,
        ),
        SetupKey(
            "INNGEST_BASE_URL", PAGE, "only for a server of your own", r"https?://[^\s?#@]+", API, secret=False, required=False
        ),
    ),
    needs_public_url=True,
    notes=(
        "A started process registers the application's functions by itself, again after each deployment.",
        "Of the free plan 5 calls run at a time and 50,000 a month; a ring of the clock each minute is 43,200 of them: "
        "JOBS_INNGEST_SCHEDULE_EACH=1 rings every five minutes and at the times of your schedules.",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class InngestSettings:
    """Checked. ``api``, ``events`` and ``public_url`` without a slash at the end. ``dev``: a development server, which signs nothing.

    ``fallback``: the signing key before or after a rotation, let in too.
    """

    event_key: str = field(repr=False)
    signing_key: str | None = field(repr=False)
    public_url: str
    api: str = API
    events: str = EVENTS
    fallback: str | None = field(default=None, repr=False)
    environment: str | None = None
    dev: bool = False

    def __post_init__(self) -> None:
        _check("INNGEST_EVENT_KEY", self.event_key, _EVENT_KEY if not self.dev else r"\S+", "letters, digits, _ and -")
        for name, key in (("INNGEST_SIGNING_KEY", self.signing_key), ("INNGEST_SIGNING_KEY_FALLBACK", self.fallback)):
            if key is not None:
                _check(name, key, _SIGNING_KEY, "signkey-<environment>- and hexadecimal digits")
        api, own = host_of("INNGEST_API_BASE_URL", self.api), host_of("JOBS_PUBLIC_URL", self.public_url)
        host_of("INNGEST_EVENT_API_BASE_URL", self.events)
        check_reachable("Inngest", api, own)
        if self.dev and (api not in LOCAL or own not in LOCAL):
            raise NotConfigured(
                "INNGEST_DEV is for a server on this machine, which signs nothing: unset it where others reach the application"
            )
        if not self.dev and self.signing_key is None:
            raise NotConfigured(f"Inngest needs INNGEST_SIGNING_KEY: take it from {PAGE}/signing-key")
        kind = (self.signing_key or "").split("-")[1:2]
        if kind == ["branch"] and self.environment is None:
            raise NotConfigured("INNGEST_SIGNING_KEY is that of branch environments: say which with INNGEST_ENV")

    @property
    def keys(self) -> tuple[bytes, ...]:
        """What signatures are made with: the keys without their prefix, as text."""
        return tuple(_bare(key).encode() for key in (self.signing_key, self.fallback) if key is not None)

    @property
    def bearer(self) -> str:
        """What the API takes in place of the signing key: its hash, under the same prefix."""
        if self.signing_key is None:
            return ""
        bare = _bare(self.signing_key)
        prefix = self.signing_key.removesuffix(bare)
        return prefix + hashlib.sha256(bytes.fromhex(bare)).hexdigest()


def read_settings(values: Mapping[str, str]) -> InngestSettings:
    """Of the environment, under the vendor's own names. Raises ``NotConfigured`` for what is missing or can't be right."""
    found = {name: text.strip() for name, text in values.items() if text.strip()}
    dev = found.get("INNGEST_DEV", "0")
    local = dev not in ("0", "false")
    base = (dev if "://" in dev else DEV) if local else None
    base = found.get("INNGEST_BASE_URL", base)
    needed = ("JOBS_PUBLIC_URL",) if local else ("INNGEST_EVENT_KEY", "INNGEST_SIGNING_KEY", "JOBS_PUBLIC_URL")
    missing = [name for name in needed if name not in found]
    if missing:
        remedy = f"take the keys from {PAGE}"
        if "JOBS_PUBLIC_URL" in missing:
            remedy += "; JOBS_PUBLIC_URL is where Inngest reaches jobs.asgi(), for example https://shop.example/jobs"
        raise NotConfigured(f"Inngest needs {', '.join(missing)}: {remedy}")
    return InngestSettings(
        found.get("INNGEST_EVENT_KEY", "dev"),
        found.get("INNGEST_SIGNING_KEY"),
        found["JOBS_PUBLIC_URL"].rstrip("/"),
        found.get("INNGEST_API_BASE_URL", base or API).rstrip("/"),
        found.get("INNGEST_EVENT_API_BASE_URL", base or EVENTS).rstrip("/"),
        found.get("INNGEST_SIGNING_KEY_FALLBACK"),
        found.get("INNGEST_ENV"),
        local,
    )


def read_options(values: Mapping[str, str]) -> dict[str, Any]:
    """What the environment says of ``OPTIONS``. Raises ``NotConfigured`` for what is no whole number."""
    found = {variable: values[variable].strip() for variable in OPTIONS if values.get(variable)}
    for variable, text in found.items():
        if not re.fullmatch(r"\d{1,6}", text, re.ASCII):
            raise NotConfigured(f"{variable} must be a whole number, such as 10")
    numbers = {OPTIONS[variable]: int(text) for variable, text in found.items()}
    return {name: bool(number) if name in _FLAGS else number for name, number in numbers.items()}


def _bare(key: str) -> str:
    return re.sub(r"^signkey-[a-z0-9]+-", "", key)


def _check(name: str, value: str, pattern: str, form: str) -> None:
    if not re.fullmatch(pattern, value, re.ASCII):
        raise NotConfigured(f"{name} is not of the form {form}: copy it again from {PAGE}, without quotes and spaces")
