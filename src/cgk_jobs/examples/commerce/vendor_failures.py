"""Work on many items of which each calls a vendor: one that gets no answer does not hold up the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from cgk_jobs import NonRetryable
from cgk_jobs.examples.commerce.vendors import VendorUnavailable

__all__ = ["for_each"]

T = TypeVar("T")


async def for_each(items: Iterable[T], work: Callable[[T], Awaitable[int]]) -> int:
    """Do ``work`` on every item and add up what it answers.

    Where the vendor refused or did not answer, the other items come first; then the error is raised, so that another
    attempt does what is left: ``VendorUnavailable`` if there was one, as it is worth that attempt, else ``NonRetryable``.
    """
    total = 0
    unavailable: VendorUnavailable | None = None
    refused: NonRetryable | None = None
    for item in items:
        try:
            total += await work(item)
        except VendorUnavailable as error:
            unavailable = error
        except NonRetryable as error:
            refused = error
    failure = unavailable or refused
    if failure is not None:
        raise failure
    return total
