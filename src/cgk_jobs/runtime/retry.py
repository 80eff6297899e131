"""When the next attempt starts, or that there is none. Pure."""

from __future__ import annotations

from cgk_jobs.errors import NonRetryable, PayloadTooLarge, RetryAfter
from cgk_jobs.tasks.policy import Retry

__all__ = ["delay_before", "may_retry"]

LONGEST = 10 * 366 * 86_400.0
"""Seconds a retry may wait, whatever the policy's numbers come to."""


def delay_before(policy: Retry, attempt: int, chance: float) -> float:
    """Seconds to wait after failed ``attempt`` (1 is the first). ``chance`` from 0 to 1 decides the jitter."""
    if policy.backoff == "exponential":
        try:
            wait = policy.initial * policy.factor ** (attempt - 1)
        except OverflowError:
            wait = LONGEST
    else:
        wait = policy.initial * (attempt if policy.backoff == "linear" else 1)
    return min(wait, policy.maximum, LONGEST) * (1 - policy.jitter * chance)


def may_retry(policy: Retry, attempt: int, error: BaseException) -> bool:
    """Whether another attempt follows after ``attempt`` failed with ``error``."""
    # What is too large to be stored is so at the next attempt too.
    if attempt >= policy.max_attempts or isinstance(error, (NonRetryable, PayloadTooLarge, *policy.give_up_on)):
        return False
    return not policy.retry_on or isinstance(error, (TimeoutError, RetryAfter, *policy.retry_on))
