"""What the application needs to be told on Vercel, and whether it can be right. No message repeats a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from cgk_jobs.errors import NotConfigured
from cgk_jobs.providers.provider import Setup, SetupKey

__all__ = ["BUDGET", "CRON_PATH", "DRAIN_PATH", "SETUP", "VercelPlan", "VercelSettings", "read_settings"]

VercelPlan = Literal["hobby", "pro"]
"""What differs is how often the clock may ring: once a day, or once a minute (Pro and Enterprise)."""

CRON_PATH = "/cron/"
DRAIN_PATH = "/drain"

BUDGET = 0.8
"""The part of a call's longest duration in which work is done. The rest is for putting back what has not ended."""
DURATIONS = (10, 1_800)
PRO_LINGER = 5.0

_SECRET = r"[!-~]{16,512}"  # noqa: S105  (the form of one)
_REMEDY = (
    "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))', and set it with: "
    "vercel env add CRON_SECRET production"
)

SETUP = Setup(
    title="Vercel Cron",
    sign_up="https://vercel.com/signup",
    keys=(
        SetupKey(
            "CRON_SECRET",
            "https://vercel.com/docs/cron-jobs/manage-cron-jobs#securing-cron-jobs",
            f"you choose it yourself: {_REMEDY}",
            _SECRET,
            "32 random characters and more",
        ),
    ),
    needs_public_url=True,
    notes=(
        "The clock is in vercel.json: run cgk jobs vercel generate --write, and deploy.",
        "On the Hobby plan it rings once a day: what is sent is begun at once if JOBS_PUBLIC_URL is set, and schedules that run "
        "more often than daily can't be kept (cgk jobs vercel generate --plan hobby names them).",
    ),
)


@dataclass(frozen=True, slots=True)
class VercelSettings:
    """Checked. ``secrets``: those with which a call is let in, the first one goes with calls of our own; none: nobody is.

    ``public_url``: where ``jobs.asgi()`` is reached, for calls of our own. ``max_duration``: seconds a call may last, as
    ``maxDuration`` in vercel.json says. ``linger``: seconds a call waits for runs that are due soon; ``None``: as long as it has.
    """

    secrets: tuple[str, ...] = field(repr=False)
    public_url: str | None = None
    max_duration: float = 60.0
    linger: float | None = PRO_LINGER

    def __post_init__(self) -> None:
        if not all(re.fullmatch(_SECRET, secret, re.ASCII) for secret in self.secrets):
            raise NotConfigured(
                f"CRON_SECRET and CRON_SECRET_PREVIOUS are 16 to 512 characters of ASCII, without spaces: {_REMEDY}"
            )
        if not DURATIONS[0] <= self.max_duration <= DURATIONS[1]:
            raise NotConfigured(
                f"JOBS_MAX_DURATION is seconds, {DURATIONS[0]} to {DURATIONS[1]:,}: the maxDuration of the function in vercel.json"
            )

    @property
    def budget(self) -> float:
        """Seconds of a call in which work is done."""
        return BUDGET * self.max_duration


def read_settings(values: Mapping[str, str]) -> VercelSettings:
    """Of the environment. Raises ``NotConfigured`` for what is missing or can't be right.

    In a preview deployment, which Vercel's clock does not call, the secret may be missing: then nobody is let in.
    """
    secrets = tuple(secret for name in ("CRON_SECRET", "CRON_SECRET_PREVIOUS") if (secret := values.get(name)))
    if not values.get("CRON_SECRET") and values.get("VERCEL_ENV") != "preview":
        raise NotConfigured(f"Vercel Cron needs CRON_SECRET, which its calls bring: {_REMEDY}")
    plan = values.get("JOBS_VERCEL_PLAN", "pro")
    if plan not in get_args(VercelPlan):
        raise NotConfigured("JOBS_VERCEL_PLAN is hobby, or pro for every other plan")
    linger = _number(values, "JOBS_VERCEL_LINGER")
    return VercelSettings(
        secrets if values.get("CRON_SECRET") else (),
        values.get("JOBS_PUBLIC_URL", "").rstrip("/") or None,
        float(_number(values, "JOBS_MAX_DURATION") or 60),
        (None if plan == "hobby" else PRO_LINGER) if linger is None else float(linger),
    )


def _number(values: Mapping[str, str], variable: str) -> int | None:
    text = values.get(variable, "").strip()
    if text and not re.fullmatch(r"\d{1,6}", text, re.ASCII):
        raise NotConfigured(f"{variable} must be a whole number of seconds, such as 60")
    return int(text) if text else None
