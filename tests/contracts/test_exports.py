"""The names users rely on: there, of the kind promised, or, explicitly, to come later."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import cgk_jobs
from cgk_jobs import Context, Event, Jobs, JobsError, Run, Unsupported

PROMISED = [
    "Event",
    "Jobs",
    "Retry",
    "Limit",
    "Rate",
    "Context",
    "Tick",
    "Sent",
    "Send",
    "NonRetryable",
    "RetryAfter",
    "tenant",
    "current_tenant",
    "platform",
    "tenant_context",
    "across_tenants",
    "JobsError",
    "InvalidEvent",
    "InvalidResult",
    "UnknownEvent",
    "RunNotFound",
    "TenantRequired",
    "TenantMismatch",
    "DuplicateKey",
    "Unsupported",
    "ProviderUnavailable",
    "PayloadTooLarge",
    "RunFailed",
    "RunCancelled",
    "RunExpired",
    "WaitTimeout",
    "NotConfigured",
    "JobProvider",
    "Capabilities",
    "create_provider",
    "Run",
]
BEYOND = [
    "ForeignDatabase",
    "InvalidSchedule",
    "InvalidTask",
    "InvalidToken",
    "Priority",
    "ProviderRefused",
    "Quota",
    "QuotaExceeded",
    "StaleClaim",
    "TaskGroup",
    "TenantClosed",
    "Batch",
    "CallTooDeep",
    "Debounce",
    "ForeignDatabase",
    "InvalidSchedule",
    "InvalidTask",
    "JournalMismatch",
    "Latest",
    "Priority",
    "StaleClaim",
    "StepFailed",
    "TaskGroup",
    "Throttle",
    "Unique",
    "upcasts",
]

ERRORS = [
    "InvalidEvent",
    "InvalidResult",
    "UnknownEvent",
    "RunNotFound",
    "TenantRequired",
    "TenantMismatch",
    "DuplicateKey",
    "Unsupported",
    "ProviderUnavailable",
    "PayloadTooLarge",
    "RunFailed",
    "RunCancelled",
    "RunExpired",
    "WaitTimeout",
    "NotConfigured",
]

JOBS = {
    "": """task cron send send_many trigger_and_wait approval approve sync runs schedules tenants tenant_source start stop lifespan run asgi
        include close""",
    "runs": "get list count cancel retry replay wait watch",
    "schedules": "list pause resume trigger next_ticks",
    "tenants": "add list pause resume limit usage export purge",
    "queues": "pause resume",
    "sync": "send send_many trigger_and_wait approval approve runs schedules tenants queues",
}
CONTEXT = [
    "tenant_id",
    "run_id",
    "attempt",
    "max_attempts",
    "event",
    "deadline",
    "log",
    "tags",
    "step",
    "sleep",
    "sleep_until",
    "wait_for",
    "approval_link",
    "call",
    "gather",
    "map",
    "send",
    "progress",
    "metadata",
    "check_cancelled",
    "idempotency_key",
    "fence",
    "sync",
]
RUN = [
    "id",
    "tenant_id",
    "task",
    "event",
    "state",
    "attempt",
    "result",
    "error",
    "created_at",
    "started_at",
    "finished_at",
    "tags",
    "parent_id",
    "steps",
    "log",
    "metadata",
]

LATER_IN_JOBS = ["webhook"]


def test_the_package_exports_what_is_promised_and_nothing_by_accident() -> None:
    assert sorted(cgk_jobs.__all__) == sorted({*PROMISED, *BEYOND})
    for name in cgk_jobs.__all__:
        assert hasattr(cgk_jobs, name), name
    assert cgk_jobs.tenant is cgk_jobs.tenant_context
    assert cgk_jobs.platform is cgk_jobs.across_tenants


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_is_of_the_hierarchy(name: str) -> None:
    assert issubclass(getattr(cgk_jobs, name), JobsError)


def test_errors_are_the_builtin_ones_too_where_people_catch_those() -> None:
    assert issubclass(cgk_jobs.InvalidEvent, ValueError)
    assert issubclass(cgk_jobs.UnknownEvent, LookupError)
    assert issubclass(cgk_jobs.RunNotFound, LookupError)
    assert issubclass(cgk_jobs.WaitTimeout, TimeoutError)


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[Jobs]:
    jobs = Jobs(database=tmp_path / "jobs.db")
    yield jobs
    await jobs.stop(grace=0)
    jobs.close()


@pytest.mark.parametrize("part", JOBS)
async def test_the_application_has_its_methods(jobs: Jobs, part: str) -> None:
    owner = getattr(jobs, part) if part else jobs
    missing = [name for name in JOBS[part].split() if not hasattr(owner, name)]
    assert missing == []


def test_the_context_has_its_attributes() -> None:
    slots = set(Context.__slots__)
    assert [name for name in CONTEXT if name not in slots and not hasattr(Context, name)] == []


def test_a_run_has_its_attributes() -> None:
    assert [name for name in RUN if name not in Run.__dataclass_fields__] == []


def options(function: Callable[..., Any]) -> set[str]:
    return {name for name, parameter in inspect.signature(function).parameters.items()}


def test_decorators_take_the_promised_options() -> None:
    common = {
        "id",
        "retry",
        "timeout",
        "queue",
        "priority",
        "concurrency",
        "rate",
        "expires",
        "tags",
        "middleware",
        "isolation",
    }
    assert common | {"on"} <= options(Jobs.task)
    assert common | {"timezone", "tenants", "misfire", "spread"} <= options(Jobs.cron)
    assert {"concurrency", "queues", "lease", "thread"} <= options(Jobs.start)
    assert {"provider", "database", "app"} <= options(Jobs)
    assert {"tenant_id", "task", "event", "state", "tag", "since", "cursor", "limit"} <= options(
        cgk_jobs.Jobs().runs.list
    )
    assert {"max_attempts", "backoff", "initial", "maximum", "factor", "jitter", "retry_on", "give_up_on"} <= options(
        cgk_jobs.Retry
    )


@pytest.mark.parametrize("name", LATER_IN_JOBS)
async def test_what_the_application_gets_later_says_so_until_then(jobs: Jobs, name: str) -> None:
    with pytest.raises(Unsupported) as refusal:
        getattr(jobs, name)()
    assert refusal.value.hint


def test_the_catalogue_is_looked_up_by_name() -> None:
    from cgk_jobs.events import registry

    assert issubclass(registry["order.created"], Event)


def test_the_package_is_typed() -> None:
    assert (Path(cgk_jobs.__file__).parent / "py.typed").is_file()
