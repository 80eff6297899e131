"""The three roles of the ledger, and whether a login may be used for what it is used for."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cgk_jobs.errors import NotConfigured

if TYPE_CHECKING:
    from cgk_jobs.engine.postgres.database import Work

__all__ = ["UNSAFE_ROLE_ALLOWED", "Roles", "check_role"]

UNSAFE_ROLE_ALLOWED = "JOBS_ALLOW_UNSAFE_ROLE"
"""The environment variable that lets a superuser or an owner work, if it is 1."""

_ROLE = re.compile(r"\bcgk_jobs_(owner|worker|tenant)\b")
_is_prefix = re.compile(r"[a-z_][a-z0-9_]{0,40}").fullmatch


@dataclass(frozen=True, slots=True)
class Roles:
    """Names of the roles. Another ``prefix`` keeps two ledgers of one cluster apart, such as staging and production.

    Raises ``NotConfigured`` for a prefix that would need quotes.
    """

    prefix: str = "cgk_jobs"

    def __post_init__(self) -> None:
        if not _is_prefix(self.prefix) or self.prefix.startswith("pg_"):
            raise NotConfigured(
                f"{self.prefix!r} can't be the prefix of the roles: 1 to 41 of a-z 0-9 _, not beginning with a digit or pg_"
            )

    @property
    def owner(self) -> str:
        """Owns the schema; nobody logs in as it."""
        return f"{self.prefix}_owner"

    @property
    def worker(self) -> str:
        """Sees every row."""
        return f"{self.prefix}_worker"

    @property
    def tenant(self) -> str:
        """Sees the rows of the tenant its transaction is bound to."""
        return f"{self.prefix}_tenant"

    def named_in(self, script: str) -> str:
        """``script``, written for the default names, with these."""
        return _ROLE.sub(lambda found: f"{self.prefix}_{found[1]}", script)


async def check_role(work: Work) -> None:
    """Refuse a login that row security does not hold for, or that is not the worker's.

    Raises ``NotConfigured`` with the remedy. A superuser, a BYPASSRLS role or a member of the owner is let through where
    ``JOBS_ALLOW_UNSAFE_ROLE=1``.
    """
    found = await work.row("read_role")
    if found is None:
        raise NotConfigured("the database has no ledger: run cgk jobs schema apply")
    reason = (
        "is a superuser"
        if found["superuser"]
        else "has BYPASSRLS"
        if found["bypasses"]
        else f"owns the ledger (it is a member of {found['owner']})"
        if found["owns"]
        else None
    )
    if reason is not None:
        if os.environ.get(UNSAFE_ROLE_ALLOWED) == "1":
            return
        raise NotConfigured(
            f"the login {found['login']} {reason}, so PostgreSQL would not keep tenants apart: put the worker login that "
            f"`cgk jobs schema apply` makes into JOBS_DATABASE_URL, or set {UNSAFE_ROLE_ALLOWED}=1 to work without the wall"
        )
    if not found["works"]:
        raise NotConfigured(
            f"the login {found['login']} is not the worker's: put the worker login that `cgk jobs schema apply` makes into "
            f"JOBS_DATABASE_URL, or make this one work: cgk jobs schema apply --worker-login {found['login']}"
        )
