"""Endings that the ledger refused together, written one by one: what nobody foresaw in one must not keep the others, or the loop.

An ending that can't be written becomes a failed attempt of its run, with a text that can. If the ledger refuses that too, the
run is left to the lease: whoever comes after this worker takes it back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from cgk_jobs.engine.records import Claim, Settlement
from cgk_jobs.engine.store import Store
from cgk_jobs.errors import JobsError, WriteRefused
from cgk_jobs.wire.ids import to_id

__all__ = ["is_refusal", "settle_apart"]

_logger = logging.getLogger("cgk_jobs.engine")

Failing = Callable[[Claim, BaseException], Settlement]
"""The ending of an attempt that failed because its own ending could not be written."""


def is_refusal(error: BaseException) -> bool:
    """Whether the same write would end the same again, as the ledger does answer; else it is worth waiting."""
    return isinstance(error, WriteRefused) or not isinstance(error, JobsError | OSError)


async def settle_apart(
    store: Store, worker: int, settlements: Sequence[Settlement], failing: Failing
) -> tuple[list[Settlement], list[Claim]]:
    """Write each by itself; returns those to try again once the ledger answers, and the claims that came too late."""
    left: list[Settlement] = []
    stale: list[Claim] = []
    for item in settlements:
        try:
            stale += await _settle(store, worker, item, failing)
        except (JobsError, OSError):
            left.append(item)
    return left, stale


async def _settle(store: Store, worker: int, item: Settlement, failing: Failing) -> list[Claim]:
    claim = item.claim
    run_id = to_id(claim.seq, claim.nonce)
    try:
        return (await store.exchange(worker, [item], None)).stale
    except Exception as error:
        if not is_refusal(error):
            raise
        _logger.exception(
            "tenant %s: how an attempt of run %s ended (%s) can't be written; it counts as failed",
            claim.tenant_id, run_id, item.state,
        )  # fmt: skip
        instead = failing(claim, error)
    try:
        return (await store.exchange(worker, [instead], None)).stale
    except Exception as error:
        if not is_refusal(error):
            raise
        _logger.exception(
            "tenant %s: run %s can't be settled at all, and stays running until this worker stops",
            claim.tenant_id,
            run_id,
        )
        return []
