"""The names of everything that can be observed, and the hub that tells listeners.

The core emits, exporters listen; no queue code knows of metrics, traces or log formats. A hub belongs to one ``Jobs``
object. Each signal carries the tenant first: there is nothing observable without one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["ALL", "Listener", "Signal", "Signals"]

_logger = logging.getLogger("cgk_jobs.signals")

EVENT_SENT = "event.sent"
RUN_STARTED = "run.started"
RUN_FINISHED = "run.finished"
RUN_RETRYING = "run.retrying"
RUN_SUSPENDED = "run.suspended"
RUN_PUT_BACK = "run.put_back"
CLAIM_LOST = "claim.lost"
SCHEDULE_FIRED = "schedule.fired"
QUOTA_REACHED = "quota.reached"
WORKER_STARTED = "worker.started"
WORKER_STOPPED = "worker.stopped"
WORKER_RESCUED = "worker.rescued"

ALL = (
    EVENT_SENT,
    RUN_STARTED,
    RUN_FINISHED,
    RUN_RETRYING,
    RUN_SUSPENDED,
    RUN_PUT_BACK,
    CLAIM_LOST,
    SCHEDULE_FIRED,
    QUOTA_REACHED,
    WORKER_STARTED,
    WORKER_STOPPED,
    WORKER_RESCUED,
)


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that happened. ``tenant_id`` is ``"platform"`` for what belongs to the installation itself."""

    name: str
    tenant_id: str
    fields: dict[str, object] = field(default_factory=dict[str, object])


Listener = Callable[[Signal], None]


class Signals:
    """Listeners of one application. ``active`` is checked by hot paths before they build a signal."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self.active = False

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with every signal from now on; returns the function that ends it."""
        self._listeners.append(listener)
        self.active = True

        def stop() -> None:
            self._listeners.remove(listener)
            self.active = bool(self._listeners)

        return stop

    def emit(self, name: str, tenant_id: str, **fields: object) -> None:
        """Tell every listener. A listener that raises is logged and never reaches the queue's code."""
        if not self.active:
            return
        signal = Signal(name, tenant_id, fields)
        for listener in tuple(self._listeners):
            try:
                listener(signal)
            except Exception:
                _logger.exception("a listener of %s failed (tenant %s)", name, tenant_id)
