"""Why a queued run is parked, as ``held_by`` says it. Limits park under the key of their budget (``budgets.py``)."""

from __future__ import annotations

__all__ = ["paused_tenant_hold", "unknown_task_hold"]


def unknown_task_hold(task: str) -> str:
    """Why a run is parked whose task no worker at hand knows."""
    return f"unknown-task:{task}"


def paused_tenant_hold(tenant_id: str) -> str:
    """Why a run of a paused tenant is parked."""
    return f"paused-tenant:{tenant_id}"
