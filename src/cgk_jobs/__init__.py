"""Background jobs for multi-tenant Python: typed events, tasks with retries, schedules, durable steps."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cgk_jobs.app import Jobs
    from cgk_jobs.engine.quotas import Quota
    from cgk_jobs.errors import (
        CallTooDeep,
        DuplicateKey,
        ForeignDatabase,
        InvalidEvent,
        InvalidResult,
        InvalidSchedule,
        InvalidTask,
        InvalidToken,
        JobsError,
        JournalMismatch,
        NonRetryable,
        NotConfigured,
        PayloadTooLarge,
        ProviderRefused,
        ProviderUnavailable,
        QuotaExceeded,
        RetryAfter,
        RunCancelled,
        RunExpired,
        RunFailed,
        RunNotFound,
        StaleClaim,
        StepFailed,
        TenantClosed,
        TenantMismatch,
        TenantRequired,
        UnknownEvent,
        Unsupported,
        WaitTimeout,
    )
    from cgk_jobs.events import Event, upcasts
    from cgk_jobs.events.sent import Send, Sent
    from cgk_jobs.providers.capabilities import Capabilities
    from cgk_jobs.providers.provider import JobProvider
    from cgk_jobs.providers.registry import create_provider
    from cgk_jobs.runs import Run
    from cgk_jobs.runtime.context import Context
    from cgk_jobs.tasks.flow import Batch, Debounce, Latest, Throttle, Unique
    from cgk_jobs.tasks.group import TaskGroup
    from cgk_jobs.tasks.policy import Limit, Priority, Rate, Retry
    from cgk_jobs.tasks.schedule import Tick
    from cgk_jobs.tenancy import across_tenants, current_tenant, tenant_context
    from cgk_jobs.tenancy import across_tenants as platform
    from cgk_jobs.tenancy import tenant_context as tenant

__all__ = [
    "Batch",
    "CallTooDeep",
    "Capabilities",
    "Context",
    "Debounce",
    "DuplicateKey",
    "Event",
    "ForeignDatabase",
    "InvalidEvent",
    "InvalidResult",
    "InvalidSchedule",
    "InvalidTask",
    "InvalidToken",
    "JobProvider",
    "Jobs",
    "JobsError",
    "JournalMismatch",
    "Latest",
    "Limit",
    "NonRetryable",
    "NotConfigured",
    "PayloadTooLarge",
    "Priority",
    "ProviderRefused",
    "ProviderUnavailable",
    "Quota",
    "QuotaExceeded",
    "Rate",
    "Retry",
    "RetryAfter",
    "Run",
    "RunCancelled",
    "RunExpired",
    "RunFailed",
    "RunNotFound",
    "Send",
    "Sent",
    "StaleClaim",
    "StepFailed",
    "TaskGroup",
    "TenantClosed",
    "TenantMismatch",
    "TenantRequired",
    "Throttle",
    "Tick",
    "Unique",
    "UnknownEvent",
    "Unsupported",
    "WaitTimeout",
    "across_tenants",
    "create_provider",
    "current_tenant",
    "platform",
    "tenant",
    "tenant_context",
    "upcasts",
]

# Where each name lives: it is imported when first asked for, so that a command, or a test session that has the plugin and
# uses none of it, does not pay half a second for an engine.
_PLACES = {
    "Batch": "cgk_jobs.tasks.flow",
    "CallTooDeep": "cgk_jobs.errors",
    "Capabilities": "cgk_jobs.providers.capabilities",
    "Context": "cgk_jobs.runtime.context",
    "Debounce": "cgk_jobs.tasks.flow",
    "DuplicateKey": "cgk_jobs.errors",
    "Event": "cgk_jobs.events",
    "ForeignDatabase": "cgk_jobs.errors",
    "InvalidEvent": "cgk_jobs.errors",
    "InvalidResult": "cgk_jobs.errors",
    "InvalidSchedule": "cgk_jobs.errors",
    "InvalidTask": "cgk_jobs.errors",
    "InvalidToken": "cgk_jobs.errors",
    "JobProvider": "cgk_jobs.providers.provider",
    "Jobs": "cgk_jobs.app",
    "JobsError": "cgk_jobs.errors",
    "JournalMismatch": "cgk_jobs.errors",
    "Latest": "cgk_jobs.tasks.flow",
    "Limit": "cgk_jobs.tasks.policy",
    "NonRetryable": "cgk_jobs.errors",
    "NotConfigured": "cgk_jobs.errors",
    "PayloadTooLarge": "cgk_jobs.errors",
    "Priority": "cgk_jobs.tasks.policy",
    "ProviderRefused": "cgk_jobs.errors",
    "ProviderUnavailable": "cgk_jobs.errors",
    "Quota": "cgk_jobs.engine.quotas",
    "QuotaExceeded": "cgk_jobs.errors",
    "Rate": "cgk_jobs.tasks.policy",
    "Retry": "cgk_jobs.tasks.policy",
    "RetryAfter": "cgk_jobs.errors",
    "Run": "cgk_jobs.runs",
    "RunCancelled": "cgk_jobs.errors",
    "RunExpired": "cgk_jobs.errors",
    "RunFailed": "cgk_jobs.errors",
    "RunNotFound": "cgk_jobs.errors",
    "Send": "cgk_jobs.events.sent",
    "Sent": "cgk_jobs.events.sent",
    "StaleClaim": "cgk_jobs.errors",
    "StepFailed": "cgk_jobs.errors",
    "TaskGroup": "cgk_jobs.tasks.group",
    "TenantClosed": "cgk_jobs.errors",
    "TenantMismatch": "cgk_jobs.errors",
    "TenantRequired": "cgk_jobs.errors",
    "Throttle": "cgk_jobs.tasks.flow",
    "Tick": "cgk_jobs.tasks.schedule",
    "Unique": "cgk_jobs.tasks.flow",
    "UnknownEvent": "cgk_jobs.errors",
    "Unsupported": "cgk_jobs.errors",
    "WaitTimeout": "cgk_jobs.errors",
    "across_tenants": "cgk_jobs.tenancy",
    "create_provider": "cgk_jobs.providers.registry",
    "current_tenant": "cgk_jobs.tenancy",
    "platform": "cgk_jobs.tenancy:across_tenants",
    "tenant": "cgk_jobs.tenancy:tenant_context",
    "tenant_context": "cgk_jobs.tenancy",
    "upcasts": "cgk_jobs.events",
}


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, _, original = place.partition(":")
    value = getattr(import_module(module), original or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
