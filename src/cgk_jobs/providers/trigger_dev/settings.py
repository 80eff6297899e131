"""What Trigger.dev needs to be told, and whether it can be right. No message repeats a value: most of them are secret."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cgk_jobs.errors import NotConfigured
from cgk_jobs.providers.addresses import check_reachable, host_of
from cgk_jobs.providers.provider import Setup, SetupKey
from cgk_jobs.wire.signing import MOST_KEYS, SHORTEST_KEY

__all__ = ["ADDRESS", "OPTIONS", "SETUP", "TriggerDevSettings", "project_ref", "read_options", "read_settings"]

ADDRESS = "https://api.trigger.dev"
PAGE = "https://cloud.trigger.dev"

OPTIONS = {
    "JOBS_TRIGGER_ANSWER_WITHIN": "answer_within",
    "JOBS_TRIGGER_DRAIN_SECONDS": "drain_seconds",
}
"""Options of ``TriggerDevProvider`` that are whole numbers, by their variables."""

ENVIRONMENTS = {"dev": "DEVELOPMENT", "stg": "STAGING", "prod": "PRODUCTION", "preview": "PREVIEW"}
"""What the beginning of a secret key says its environment is, and the vendor's word for it."""

_SECRET_KEY = rf"tr_({'|'.join(ENVIRONMENTS)})_[A-Za-z0-9]{{16,128}}"
_PROJECT_REF = r"proj_[A-Za-z0-9]{8,64}"

SETUP = Setup(
    title="Trigger.dev",
    sign_up=PAGE,
    keys=(
        SetupKey("TRIGGER_SECRET_KEY", PAGE, "your project, API keys, the secret key of the environment", _SECRET_KEY, "tr_prod_…"),
        SetupKey(
            "TRIGGER_PROJECT_REF", PAGE, "your project, Project settings, Project ref", _PROJECT_REF, "proj_…", secret=False
        ),
        SetupKey(
            "TRIGGER_API_URL", PAGE, "only for a server of your own", r"https?://[^\s?#@]+", ADDRESS, secret=False, required=False
        ),
    ),
    needs_public_url=True,
    notes=(
        "cgk jobs trigger-dev generate writes the project to deploy; again after each change of tasks, queues or time limits.",
        "JOBS_SIGNING_KEY and JOBS_PUBLIC_URL are set in the environment at Trigger.dev, too: its tasks sign with the one and call "
        "the other.",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TriggerDevSettings:
    """Checked. ``url``: the vendor's, ``public_url``: where ``jobs.asgi()`` is reached; both without a slash at the end.

    ``signing_keys``: the newest first. ``project``: compared with the project of the key, where it is given.
    """

    secret_key: str = field(repr=False)
    signing_keys: tuple[bytes, ...] = field(repr=False)
    public_url: str
    url: str = ADDRESS
    project: str | None = None

    def __post_init__(self) -> None:
        _check("TRIGGER_SECRET_KEY", self.secret_key, _SECRET_KEY, "tr_dev_…, tr_stg_…, tr_preview_… or tr_prod_…")
        if self.project is not None:
            _check("TRIGGER_PROJECT_REF", self.project, _PROJECT_REF, "proj_…")
        if not 1 <= len(self.signing_keys) <= MOST_KEYS or min(map(len, self.signing_keys)) < SHORTEST_KEY:
            raise NotConfigured(
                f"JOBS_SIGNING_KEY must be one key of at least {SHORTEST_KEY} characters, or two as new,old; "
                "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        check_reachable(
            "Trigger.dev", host_of("TRIGGER_API_URL", self.url), host_of("JOBS_PUBLIC_URL", self.public_url)
        )

    @property
    def environment(self) -> str:
        """What the vendor calls the environment of the key."""
        return ENVIRONMENTS[self.secret_key.split("_")[1]]


def read_settings(values: Mapping[str, str], signing_keys: Sequence[bytes] = ()) -> TriggerDevSettings:
    """Of the environment, under the vendor's own names. Raises ``NotConfigured`` for what is missing or can't be right."""
    keys = tuple(signing_keys) or tuple(
        key.strip().encode() for key in values.get("JOBS_SIGNING_KEY", "").split(",") if key.strip()
    )
    missing = [name for name in ("TRIGGER_SECRET_KEY", "JOBS_PUBLIC_URL") if not values.get(name)]
    if not keys:
        missing.append("JOBS_SIGNING_KEY")
    if missing:
        remedy = f"take the secret key from {PAGE}"
        if "JOBS_PUBLIC_URL" in missing:
            remedy += "; JOBS_PUBLIC_URL is where its tasks reach jobs.asgi(), for example https://shop.example/jobs"
        if "JOBS_SIGNING_KEY" in missing:
            remedy += "; make a signing key with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        raise NotConfigured(f"Trigger.dev needs {', '.join(missing)}: {remedy}")
    return TriggerDevSettings(
        values["TRIGGER_SECRET_KEY"].strip(),
        keys,
        values["JOBS_PUBLIC_URL"].strip().rstrip("/"),
        (values.get("TRIGGER_API_URL") or ADDRESS).strip().rstrip("/"),
        project_ref(values),
    )


def project_ref(values: Mapping[str, str]) -> str | None:
    """``TRIGGER_PROJECT_REF``, if it is set. Raises ``NotConfigured`` if it has not the form of one."""
    project = values.get("TRIGGER_PROJECT_REF", "").strip() or None
    if project is not None:
        _check("TRIGGER_PROJECT_REF", project, _PROJECT_REF, "proj_…")
    return project


def read_options(values: Mapping[str, str]) -> dict[str, Any]:
    """What the environment says of ``OPTIONS``. Raises ``NotConfigured`` for what is no whole number."""
    found = {variable: values[variable].strip() for variable in OPTIONS if values.get(variable)}
    for variable, text in found.items():
        if not re.fullmatch(r"\d{1,6}", text, re.ASCII) or int(text) < 1:
            raise NotConfigured(f"{variable} must be a whole number from 1, such as 50")
    return {OPTIONS[variable]: int(text) for variable, text in found.items()}


def _check(name: str, value: str, pattern: str, form: str) -> None:
    if not re.fullmatch(pattern, value, re.ASCII):
        raise NotConfigured(f"{name} is not of the form {form}: copy it again from {PAGE}, without quotes and spaces")
