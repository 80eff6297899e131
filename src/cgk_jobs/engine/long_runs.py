"""Lines of attempts that go on are written now and then, so that who looks at a long run sees them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import NoReturn

from cgk_jobs.engine.records import LogLine
from cgk_jobs.engine.settling_apart import is_refusal
from cgk_jobs.engine.store import Store
from cgk_jobs.runtime.execute import Attempt
from cgk_jobs.wire.ids import to_id

__all__ = ["write_logs"]

_logger = logging.getLogger("cgk_jobs.engine")

LOG_EVERY = 1.0
"""Seconds between the looks."""


async def write_logs(store: Store, running: Mapping[int, Attempt]) -> NoReturn:
    """Write what was logged by the attempts that are ``running``, until it is cancelled."""
    while True:
        await asyncio.sleep(LOG_EVERY)
        for attempt in tuple(running.values()):
            lines = attempt.context.take_lines() if attempt.context is not None else []
            if not lines or attempt.context is None:
                continue
            try:
                await store.append_log(attempt.claim, [LogLine(*line) for line in lines])
            except Exception as error:
                if is_refusal(error):
                    claim = attempt.claim
                    run_id = to_id(claim.seq, claim.nonce)
                    _logger.exception("tenant %s: lines of run %s can't be written", claim.tenant_id, run_id)
                else:
                    attempt.context.give_back(lines)
