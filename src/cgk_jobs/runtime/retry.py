"""When the next attempt starts, or that there is none. Pure."""

from __future__ import annotations

from cgk_jobs.errors import NonRetryable, PayloadTooLarge, RetryAfter
from cgk_jobs.tasks.policy import Retry

__all__ = ["delay_before", "may_retry"]


def delay_before(policy: Retry, attempt: int, chance: float) -> float:
    """Seconds to wait after failed ``attempt`` (1 is the first). ``chance`` from 0 to 1 decides the jitter."""
    # The exponent is capped: factor ** 1000 overflows, and the maximum was reached long before.
    steps = min(attempt - 1, 60)
    wait = {
        "exponential": policy.initial * policy.factor**steps,
        "linear": policy.initial * attempt,
        "fixed": policy.initial,
    }[policy.backoff]
    return min(wait, policy.maximum) * (1 - policy.jitter * chance)


def may_retry(policy: Retry, attempt: int, error: BaseException) -> bool:
    """Whether another attempt follows after ``attempt`` failed with ``error``."""
    # What is too large to be stored is so at the next attempt too.
    if attempt >= policy.max_attempts or isinstance(error, (NonRetryable, PayloadTooLarge, *policy.give_up_on)):
        return False
    return not policy.retry_on or isinstance(error, (TimeoutError, RetryAfter, *policy.retry_on))
