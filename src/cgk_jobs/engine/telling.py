"""What a worker says of an attempt that ended."""

from __future__ import annotations

from cgk_jobs import signals
from cgk_jobs.engine.records import Claim, Settlement
from cgk_jobs.runtime.outcome import Outcome, PutBack, Suspended, Undoing
from cgk_jobs.signals import Signals
from cgk_jobs.wire.ids import to_id

__all__ = ["tell_end"]


def tell_end(emitter: Signals, claim: Claim, outcome: Outcome, settlement: Settlement | None) -> None:
    """Tell how it ended; ``settlement``: what will be written of it, nothing where the claim was lost."""
    name = signals.RUN_FINISHED
    if settlement is None:
        name = signals.CLAIM_LOST
    elif settlement.state == "retrying":
        name = signals.RUN_RETRYING
    elif isinstance(outcome, Suspended | Undoing):
        name = signals.RUN_SUSPENDED
    elif isinstance(outcome, PutBack):
        name = signals.RUN_PUT_BACK
    emitter.emit(
        name, claim.tenant_id, run_id=to_id(claim.seq, claim.nonce), task=claim.task, attempt=claim.attempt,
        outcome=type(outcome).__name__.lower(), event_id=to_id(claim.event_seq, claim.nonce),
        error=None if settlement is None else settlement.error,
    )  # fmt: skip
