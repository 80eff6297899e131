"""The wall as the database's own catalogue describes it, compared with what it should be: what is missing, and what is too much.

Everything is read from the system catalogues, which any login may read, and nothing is changed.
"""

from __future__ import annotations

from cgk_jobs.engine.postgres.catalogue_rules import PRIVATE_COLUMNS, RULES, TOO_MUCH_FOR_TENANTS, Catalogue, Problem
from cgk_jobs.engine.postgres.database import Work
from cgk_jobs.engine.postgres.roles import Roles

__all__ = ["Problem", "scan"]


async def scan(work: Work) -> list[Problem]:
    """Everything that is not as the migrations made it, the severe first. Empty: the wall stands."""
    relations = await work.rows("scan_relations")
    owner = next((row["owner"] for row in relations if row["name"] == "runs"), None)
    if owner is None:
        return [Problem("cgk_jobs", "the database has no ledger", "Run: cgk jobs schema apply")]
    if not owner.endswith("_owner"):
        return [
            Problem(
                "cgk_jobs.runs",
                f"its owner is {owner}, not an owner role",
                "Run cgk jobs schema apply on an empty database",
            )
        ]
    roles = Roles(owner.removesuffix("_owner"))
    found = Catalogue(
        roles,
        relations,
        policies=await work.rows("scan_policies"),
        grants=await work.rows("scan_grants"),
        functions=await work.rows("scan_functions"),
        keys=await work.rows("scan_keys"),
        hooks=await work.rows("scan_hooks"),
        statistics=await work.rows("scan_statistics", list(PRIVATE_COLUMNS)),
        logins=await work.rows("scan_logins", [roles.owner, roles.worker, roles.tenant], list(TOO_MUCH_FOR_TENANTS)),
    )
    return sorted((problem for rule in RULES for problem in rule(found)), key=lambda problem: not problem.severe)
