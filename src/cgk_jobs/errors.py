"""Every exception of the package.

    JobsError
    ├── NotConfigured            a setting is missing or can't be used
    │   └── ForeignDatabase      the file is not a job ledger, is damaged, newer, or on a network file system
    ├── InvalidEvent             (also ValueError) wrong tenant, field, type or time
    │   ├── UnknownEvent         (also LookupError) no class of that name and version
    │   └── PayloadTooLarge      over the size limit
    ├── InvalidTask              (also ValueError) a declaration that can't work: duplicate id, bad option
    │   └── InvalidSchedule      bad cron expression or time zone
    ├── InvalidToken             (also ValueError) a link or token that is not genuine, or whose time is over
    ├── TenantRequired           no tenant is current, and none was given
    ├── TenantMismatch           acting for another tenant than the current one
    ├── DuplicateKey             one idempotency key, two payloads
    ├── QuotaExceeded            a hard quota of the tenant doesn't take the send
    ├── TenantClosed             the tenant is being purged
    ├── RunNotFound              (also LookupError) no such run in this scope
    ├── RunFailed, RunCancelled, RunExpired     how an awaited run ended
    ├── WaitTimeout              (also TimeoutError) the run is still going on
    ├── StepFailed               a step has used up its own retries
    ├── StaleClaim               this attempt no longer holds its run
    ├── Unsupported              feature, provider, hint
    ├── ProviderUnavailable      the database or vendor can't be reached
    │   └── WriteRefused         the database answers, and refuses what is to be written
    ├── ProviderRefused          the vendor will never take this request
    └── NonRetryable             raised by handlers: don't try again
        ├── InvalidResult        (also ValueError) what a handler or step returned can't be stored
        ├── JournalMismatch      the handler no longer asks for the steps its run's journal has
        └── CallTooDeep          calls within calls within calls
        RetryAfter               raised by handlers: try again then (not an error of the package, so not below JobsError)

Every message says what to do next.
"""

from __future__ import annotations

from datetime import datetime, timedelta

__all__ = [
    "CallTooDeep",
    "DuplicateKey",
    "ForeignDatabase",
    "InvalidEvent",
    "InvalidResult",
    "InvalidSchedule",
    "InvalidTask",
    "InvalidToken",
    "JobsError",
    "JournalMismatch",
    "NonRetryable",
    "NotConfigured",
    "PayloadTooLarge",
    "ProviderRefused",
    "ProviderUnavailable",
    "QuotaExceeded",
    "RetryAfter",
    "RunCancelled",
    "RunExpired",
    "RunFailed",
    "RunNotFound",
    "StaleClaim",
    "TenantClosed",
    "StepFailed",
    "TenantMismatch",
    "TenantRequired",
    "UnknownEvent",
    "Unsupported",
    "WaitTimeout",
    "WriteRefused",
]


class JobsError(Exception):
    """Base of everything this package raises on purpose."""


class NotConfigured(JobsError):
    """A setting is missing or can't be used; the message names the setting."""


class ForeignDatabase(NotConfigured):
    """The database file can't serve as ledger: foreign, damaged, newer, or on a network file system."""


class InvalidEvent(JobsError, ValueError):
    """The event, its tenant or a send option does not fit its declaration."""


class UnknownEvent(InvalidEvent, LookupError):
    """No event of that name (or no such version of it) is known to this process."""


class PayloadTooLarge(InvalidEvent):
    """The JSON form of an event or a result exceeds the limit (bytes)."""


class InvalidTask(JobsError, ValueError):
    """A task or schedule was declared in a way that can't work."""


class InvalidSchedule(InvalidTask):
    """A cron expression or time zone can't be understood, or never matches."""


class InvalidToken(JobsError, ValueError):
    """A signed link or token is forged, damaged, of another installation, or ``expired``. The message never repeats it."""

    def __init__(self, message: str, *, expired: bool = False) -> None:
        super().__init__(message)
        self.expired = expired


class TenantRequired(JobsError):
    """Nothing is done without a tenant; there is no default."""


class TenantMismatch(JobsError):
    """A tenant tried to act for another one."""


class DuplicateKey(JobsError):
    """The idempotency key was already used with another payload."""


class QuotaExceeded(JobsError):
    """A hard quota of the tenant does not take the send; nothing of it was stored.

    ``quota`` is its name as in ``jobs.tenants.limit``; ``used`` of ``hard`` were used up when the send came.
    """

    def __init__(self, message: str, *, tenant_id: str = "", quota: str = "", used: int = 0, hard: int = 0) -> None:
        super().__init__(message)
        self.tenant_id = tenant_id
        self.quota = quota
        self.used = used
        self.hard = hard


class TenantClosed(JobsError):
    """The tenant is being purged, and nothing is taken from it until that has ended."""

    def __init__(self, message: str, *, tenant_id: str = "") -> None:
        super().__init__(message)
        self.tenant_id = tenant_id


class RunNotFound(JobsError, LookupError):
    """There is no such run for this tenant (a run of another tenant answers the same)."""


class RunFailed(JobsError):
    """The awaited run failed for good. ``error`` is the text stored with it."""

    def __init__(self, message: str, *, run_id: str = "", error: str | None = None) -> None:
        super().__init__(message)
        self.run_id = run_id
        self.error = error


class RunCancelled(JobsError):
    """The run was cancelled: raised to who waits for it, and inside the handler by ``check_cancelled``."""


class RunExpired(JobsError):
    """The awaited run was not started before its ``expires``."""


class WaitTimeout(JobsError, TimeoutError):
    """A wait was over before its run ended (which goes on), or before the event of ``ctx.wait_for`` came."""


class StaleClaim(JobsError):
    """This attempt lost its run (lease over, cancelled or taken by another worker); nothing was written."""


class StepFailed(JobsError):
    """A step failed as often as its ``retry=`` allows. It is not tried again: later attempts of the run raise this too."""


class Unsupported(JobsError):
    """The provider, or this version, can't do what was asked for; ``hint`` names the way out."""

    def __init__(self, feature: str, provider: str, hint: str) -> None:
        super().__init__(f"{feature} is not supported by {provider}. {hint}")
        self.feature = feature
        self.provider = provider
        self.hint = hint


class ProviderUnavailable(JobsError):
    """The database or vendor does not answer. ``retry_after``: the seconds it asked to be left alone, if it did."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ProviderRefused(JobsError):
    """The vendor answered that it does not take this request, and trying again would not change that.

    ``status`` is that of HTTP; ``code`` the vendor's own word for the reason, if it gave one.
    """

    def __init__(self, message: str, *, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class WriteRefused(ProviderUnavailable):
    """The database answers and refuses to write this: it would again. Nothing of the transaction was stored."""


class NonRetryable(JobsError):
    """Raise it in a handler when another attempt can't help: the run fails at once."""


class InvalidResult(NonRetryable, ValueError):
    """What a handler or a step returned can't be stored: it has no JSON form, or text databases don't take.

    The run fails at once, as another attempt would return the same.
    """


class JournalMismatch(NonRetryable):
    """The handler asks for other steps, or in another order, than the journal of its run has: the code was changed.

    The run fails and keeps its journal. Deploy the code it began with and retry it, or replay it from the start.
    """


class CallTooDeep(NonRetryable):
    """Runs that call runs that call runs, deeper than the limit: most likely a task that calls itself."""


class RetryAfter(Exception):
    """Raise it in a handler to choose when the next attempt starts.

    ``when`` is seconds from now (``float``), a ``timedelta`` or an aware ``datetime``. It counts as a failed attempt.
    Raises ``ValueError`` for a negative delay or a naive datetime.
    """

    def __init__(self, when: float | timedelta | datetime, message: str = "") -> None:
        if isinstance(when, datetime):
            if when.tzinfo is None:
                raise ValueError("RetryAfter needs an aware datetime: add tzinfo=datetime.UTC")
            text = when.isoformat()
        else:
            seconds = when.total_seconds() if isinstance(when, timedelta) else float(when)
            if not 0 <= seconds < float("inf"):
                raise ValueError(f"RetryAfter needs zero or more seconds, got {when!r}")
            when = seconds
            text = f"{seconds:g} s"
        super().__init__(message or f"retry after {text}")
        self.when: float | datetime = when
