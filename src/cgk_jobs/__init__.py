"""Background jobs for multi-tenant Python: typed events, tasks with retries, schedules, durable steps."""

from cgk_jobs.app import Jobs
from cgk_jobs.errors import (
    DuplicateKey,
    ForeignDatabase,
    InvalidEvent,
    InvalidSchedule,
    InvalidTask,
    JobsError,
    NonRetryable,
    NotConfigured,
    PayloadTooLarge,
    ProviderUnavailable,
    RetryAfter,
    RunCancelled,
    RunExpired,
    RunFailed,
    RunNotFound,
    StaleClaim,
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
from cgk_jobs.tasks.group import TaskGroup
from cgk_jobs.tasks.policy import Limit, Priority, Rate, Retry
from cgk_jobs.tasks.schedule import Tick
from cgk_jobs.tenancy import across_tenants, current_tenant, tenant_context
from cgk_jobs.tenancy import across_tenants as platform
from cgk_jobs.tenancy import tenant_context as tenant

__all__ = [
    "Capabilities",
    "Context",
    "DuplicateKey",
    "Event",
    "ForeignDatabase",
    "InvalidEvent",
    "InvalidSchedule",
    "InvalidTask",
    "JobProvider",
    "Jobs",
    "JobsError",
    "Limit",
    "NonRetryable",
    "NotConfigured",
    "PayloadTooLarge",
    "Priority",
    "ProviderUnavailable",
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
    "TaskGroup",
    "TenantMismatch",
    "TenantRequired",
    "Tick",
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
