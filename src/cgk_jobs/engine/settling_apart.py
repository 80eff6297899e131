"""Endings that the ledger refused together, written one by one: what nobody foresaw in one must not keep the others, or the loop.

An ending that can't be written becomes a failed attempt of its run, with a text that can. If the ledger refuses that too, the
run is left to the lease: whoever comes after this worker takes it back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cgk_jobs.engine.records import Claim, Settlement
from cgk_jobs.engine.store import Store
from cgk_jobs.errors import JobsError, WriteRefused
from cgk_jobs.wire.ids import to_id

__all__ = ["Apart", "is_refusal", "settle_apart"]

_logger = logging.getLogger("cgk_jobs.engine")

Failing = Callable[[Claim, BaseException], Settlement]
"""The ending of an attempt that failed because its own ending could not be written."""


def is_refusal(error: BaseException) -> bool:
    """Whether the same write would end the same again, as the ledger does answer; else it is worth waiting."""
    return isinstance(error, WriteRefused) or not isinstance(error, JobsError | OSError)


@dataclass(frozen=True, slots=True)
class Apart:
    """``written`` are the endings as they went to the ledger, of which ``stale`` came too late; ``left`` are to be tried again
    once it answers; ``given_up`` are runs left to the lease."""

    written: list[Settlement] = field(default_factory=list[Settlement])
    stale: list[Claim] = field(default_factory=list[Claim])
    left: list[Settlement] = field(default_factory=list[Settlement])
    given_up: list[Claim] = field(default_factory=list[Claim])


async def settle_apart(store: Store, worker: int, settlements: Sequence[Settlement], failing: Failing) -> Apart:
    """Write each by itself."""
    apart = Apart()
    for item in settlements:
        try:
            await _settle(store, worker, item, failing, apart)
        except (JobsError, OSError):
            apart.left.append(item)
    return apart


async def _settle(store: Store, worker: int, item: Settlement, failing: Failing, apart: Apart) -> None:
    claim = item.claim
    run_id = to_id(claim.seq, claim.nonce)
    try:
        await _write(store, worker, item, apart)
        return
    except Exception as error:
        if not is_refusal(error):
            raise
        _logger.error(
            "tenant %s: how an attempt of run %s ended (%s) can't be written; it counts as failed",
            claim.tenant_id, run_id, item.state,
        )  # fmt: skip
        instead = failing(claim, error)
    try:
        await _write(store, worker, instead, apart)
    except Exception as error:
        if not is_refusal(error):
            raise
        _logger.exception(
            "tenant %s: run %s can't be settled at all, and stays running until this worker stops",
            claim.tenant_id,
            run_id,
        )
        apart.given_up.append(claim)


async def _write(store: Store, worker: int, item: Settlement, apart: Apart) -> None:
    answer = await store.exchange(worker, [item], None)
    apart.written.append(item)
    apart.stale.extend(answer.stale)
