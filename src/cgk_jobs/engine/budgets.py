"""Which budgets a run draws on: a key for each limit and rate. Pure."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple, cast

from cgk_jobs.engine.records import Budgets, Claim, TenantRecord
from cgk_jobs.tasks.policy import Limit, Rate
from cgk_jobs.tenancy.ids import PLATFORM
from cgk_jobs.wire.json import loads

__all__ = ["Draw", "by_payload", "draws_of", "owner_of", "tenant_keys", "window_of"]

LONGEST_VALUE = 200
"""Characters of a field's value that are part of a key as they are; databases index keys only up to a length."""


class Draw(NamedTuple):
    """One budget a run needs before it may start: a slot (``micros`` is 0) or a start in a window of ``micros``."""

    key: str
    tenant_id: str
    n: int
    micros: int = 0
    hold_while_waiting: bool = False


def draws_of(claim: Claim, budgets: Budgets | None, tenant: TenantRecord | None) -> list[Draw]:
    """Every budget the run draws on: those of its task, then those of its tenant over all tasks."""
    found: list[Draw] = []
    if budgets is not None:
        found += [
            Draw(_key("slots", limit, claim), _owner(limit, claim), limit.n, 0, limit.hold_while_waiting)
            for limit in budgets.limits
        ]
        found += [
            Draw(_key("starts", rate, claim), _owner(rate, claim), rate.n, round(rate.seconds * 1e6))
            for rate in budgets.rates
        ]
    if tenant is not None:
        slots, starts = tenant_keys(tenant.id)
        if tenant.concurrency is not None:
            found.append(Draw(slots, tenant.id, tenant.concurrency))
        if tenant.rate is not None:
            found.append(Draw(starts, tenant.id, tenant.rate, round((tenant.rate_seconds or 1.0) * 1e6)))
    return found


def by_payload(budgets: Budgets | None) -> bool:
    """Whether runs of one task and one tenant may draw on different budgets, as a field of their event decides."""
    return budgets is not None and any(
        policy.per not in ("task", "tenant") for policies in budgets for policy in policies
    )


def tenant_keys(tenant_id: str) -> tuple[str, str]:
    """The keys of a tenant's own limit and rate, over all its tasks."""
    return f"slots:tenant:{tenant_id}", f"starts:tenant:{tenant_id}"


def owner_of(key: str, tenant_id: str) -> str:
    """Whose budget a key names that a run of ``tenant_id`` draws on: the tenant's, or, for one over all, the platform's."""
    return tenant_id if key.count(":") > 1 else PLATFORM


def window_of(key: str) -> int | None:
    """Microseconds after which a start in the budget of a field's value no longer counts; 0 for slots.

    ``None``: another budget. Of those there is one for each task and tenant at most, and they are kept.
    """
    kind, _, rest = key.partition(":")
    name, *scope = rest.split(":", 2)
    if len(scope) < 2:
        return None
    if kind == "slots":
        return 0
    window = name.rpartition("/")[2]
    try:
        # As the key has it, rounded to six digits: a little longer does no harm.
        return round(float(window.removesuffix("s")) * 1_000_010) + 1_000_000
    except ValueError:
        return None


def _owner(policy: Limit | Rate, claim: Claim) -> str:
    return PLATFORM if policy.per == "task" else claim.tenant_id


def _key(kind: str, policy: Limit | Rate, claim: Claim) -> str:
    # Two rates of one task over different windows are two budgets.
    name = f"shared={policy.shared}" if policy.shared else f"task={claim.task}"
    window = f"/{policy.seconds:g}s" if isinstance(policy, Rate) else ""
    if policy.per == "task":
        return f"{kind}:{name}{window}"
    if policy.per == "tenant":
        return f"{kind}:{name}{window}:{claim.tenant_id}"
    value = str(_field(claim.payload, policy.per))
    if len(value) > LONGEST_VALUE:
        value = hashlib.sha256(value.encode()).hexdigest()
    return f"{kind}:{name}{window}:{claim.tenant_id}:{policy.per}={value}"


def _field(payload: str, name: str) -> Any:
    # A payload that can't be read fails its own attempt, which says why; a claim, which has many runs, goes on.
    try:
        values = loads(payload)
    except ValueError:
        return None
    if isinstance(values, list) and values:
        # A batch: its events agree in the field, or the task would not have been declared.
        values = cast("list[object]", values)[0]
    return cast("dict[str, Any]", values).get(name) if isinstance(values, dict) else None
