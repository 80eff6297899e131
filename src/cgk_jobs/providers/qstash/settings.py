"""What QStash needs to be told, and whether it can be right. No message repeats a value: most of them are secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cgk_jobs.errors import NotConfigured
from cgk_jobs.providers.addresses import LOCAL, check_reachable, host_of
from cgk_jobs.providers.provider import Setup, SetupKey

__all__ = ["ADDRESS", "OPTIONS", "QStashSettings", "SETUP", "read_options", "read_settings"]

ADDRESS = "https://qstash.upstash.io"
PAGE = "https://console.upstash.com/qstash"

OPTIONS = {
    "JOBS_QSTASH_PARALLELISM": "parallelism",
    "JOBS_QSTASH_TENANT_PARALLELISM": "tenant_parallelism",
    "JOBS_QSTASH_REQUEST_LIMIT": "request_limit",
    "JOBS_QSTASH_DRAIN_SECONDS": "drain_seconds",
    "JOBS_QSTASH_RETRIES": "retries",
    "JOBS_QSTASH_SCHEDULE_EACH": "schedule_each",
}
"""Options of ``QStashProvider`` that are whole numbers, by their variables (``schedule_each``: 1 or 0)."""

_TOKEN = r"[A-Za-z0-9+/_-]{24,512}={0,2}"  # noqa: S105  (the form of one)
_SIGNING_KEY = r"sig_[A-Za-z0-9]{16,128}"
_KNOWN_TO_ALL = frozenset({"sig_7kYjw48mhY7kAjqNGcy6cr29RJ6r", "sig_5ZB6DVzB1wjE8S6rZ7eenA8Pdnhs"})
"""The signing keys of the vendor's development server, printed in its documentation."""

SETUP = Setup(
    title="Upstash QStash",
    sign_up=PAGE,
    keys=(
        SetupKey("QSTASH_TOKEN", PAGE, "tab Quickstart, QSTASH_TOKEN", _TOKEN, "eyJVc2VySUQiOiI…"),
        SetupKey(
            "QSTASH_CURRENT_SIGNING_KEY", PAGE, "tab Quickstart, QSTASH_CURRENT_SIGNING_KEY", _SIGNING_KEY, "sig_…"
        ),
        SetupKey("QSTASH_NEXT_SIGNING_KEY", PAGE, "tab Quickstart, QSTASH_NEXT_SIGNING_KEY", _SIGNING_KEY, "sig_…"),
        SetupKey(
            "QSTASH_URL",
            PAGE,
            "tab Quickstart, QSTASH_URL (each region has its own)",
            r"https?://[^\s?#@]+",
            ADDRESS,
            secret=False,
            required=False,
        ),
    ),
    needs_public_url=True,
    notes=(
        "A ring of the clock each minute is 1,440 messages a day; the free plan has 1,000 (November 2026): ring every five "
        "minutes there, or pay as you go.",
        "Replace both signing keys here after each rotation: two rotations without that, and no call is accepted.",
    ),
)


@dataclass(frozen=True, slots=True)
class QStashSettings:
    """Checked. ``url``: the vendor's, ``public_url``: where ``jobs.asgi()`` is reached; both without a slash at the end."""

    token: str = field(repr=False)
    current_signing_key: str = field(repr=False)
    next_signing_key: str = field(repr=False)
    public_url: str
    url: str = ADDRESS

    def __post_init__(self) -> None:
        _check("QSTASH_TOKEN", self.token, _TOKEN, "24 characters and more of base64, as the console shows it")
        for name, key in (
            ("QSTASH_CURRENT_SIGNING_KEY", self.current_signing_key),
            ("QSTASH_NEXT_SIGNING_KEY", self.next_signing_key),
        ):
            _check(name, key, _SIGNING_KEY, "sig_ and then letters and digits")
        vendor = host_of("QSTASH_URL", self.url)
        own = host_of("JOBS_PUBLIC_URL", self.public_url)
        check_reachable("QStash", vendor, own)
        if vendor not in LOCAL and _KNOWN_TO_ALL & {self.current_signing_key, self.next_signing_key}:
            raise NotConfigured(
                "a signing key is that of QStash's development server, which everybody knows: take yours from " + PAGE
            )


def read_settings(values: Mapping[str, str]) -> QStashSettings:
    """Of the environment, under the vendor's own names. Raises ``NotConfigured`` for what is missing or can't be right."""
    names = ("QSTASH_TOKEN", "QSTASH_CURRENT_SIGNING_KEY", "QSTASH_NEXT_SIGNING_KEY", "JOBS_PUBLIC_URL")
    missing = [name for name in names if not values.get(name)]
    if missing:
        remedy = f"take the keys from {PAGE}"
        if "JOBS_PUBLIC_URL" in missing:
            remedy += "; JOBS_PUBLIC_URL is where QStash reaches jobs.asgi(), for example https://shop.example/jobs"
        raise NotConfigured(f"QStash needs {', '.join(missing)}: {remedy}")
    token, current, following, public_url = (values[name].strip() for name in names)
    url = (values.get("QSTASH_URL") or ADDRESS).strip()
    return QStashSettings(token, current, following, public_url.rstrip("/"), url.rstrip("/"))


def read_options(values: Mapping[str, str]) -> dict[str, Any]:
    """What the environment says of ``OPTIONS``. Raises ``NotConfigured`` for what is no whole number."""
    found = {variable: values[variable].strip() for variable in OPTIONS if values.get(variable)}
    for variable, text in found.items():
        if not re.fullmatch(r"\d{1,6}", text, re.ASCII):
            raise NotConfigured(f"{variable} must be a whole number, such as 10")
    numbers = {OPTIONS[variable]: int(text) for variable, text in found.items()}
    return {name: bool(number) if name == "schedule_each" else number for name, number in numbers.items()}


def _check(name: str, value: str, pattern: str, form: str) -> None:
    if not re.fullmatch(pattern, value, re.ASCII):
        raise NotConfigured(f"{name} is not of the form {form}: copy it again from {PAGE}, without quotes and spaces")
