"""Lines of an attempt that goes on, written so that who looks at a long run sees them."""

from __future__ import annotations

import logging

from cgk_jobs.engine.records import LogLine
from cgk_jobs.engine.settling_apart import is_refusal
from cgk_jobs.engine.store import Store
from cgk_jobs.runtime.execute import Attempt
from cgk_jobs.wire.ids import to_id

__all__ = ["write_lines"]

_logger = logging.getLogger("cgk_jobs.engine")


async def write_lines(store: Store, attempt: Attempt) -> None:
    """Write what an attempt has logged; raises nothing. Lines stay with the attempt while the ledger does not answer."""
    context = attempt.context
    lines = [] if context is None else context.take_lines()
    if context is None or not lines:
        return
    claim = attempt.claim
    try:
        await store.append_log(claim, [LogLine(*line) for line in lines])
    except Exception as error:
        if not is_refusal(error):
            context.give_back(lines)
            return
        run_id = to_id(claim.seq, claim.nonce)
        _logger.exception("tenant %s: lines of run %s can't be written", claim.tenant_id, run_id)
