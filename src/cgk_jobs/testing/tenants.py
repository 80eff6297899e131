"""Whether handlers keep to their own tenant: who was current at every write, and two tenants treated alike."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

from cgk_jobs.engine.records import Claim
from cgk_jobs.runs import Run
from cgk_jobs.tenancy.context import Scope, current_scope
from cgk_jobs.tenancy.ids import PLATFORM
from cgk_jobs.wire.ids import to_id
from cgk_jobs.wire.json import dumps

__all__ = ["Leak", "TenantLeak", "TenantTrace", "TenantWatch", "mentions"]


class TenantLeak(AssertionError):
    """A handler touched another tenant than its own."""


@dataclass(frozen=True, slots=True)
class Leak:
    """Something was done for ``tenant_id`` while ``current`` was current (``None``: across tenants)."""

    tenant_id: str
    current: str | None
    reason: str
    what: str
    run_id: str | None

    def __str__(self) -> str:
        who = f"tenant {self.current!r}" if self.current else f"code across tenants (reason: {self.reason!r})"
        run = f", run {self.run_id}" if self.run_id else ""
        return f"{self.what} for {self.tenant_id!r} by {who}{run}"


class TenantWatch(logging.Handler):
    """Compares, at every send, step, progress and log line, whom it is for with who is current."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.leaks: list[Leak] = []
        self.seen = 0
        """Writes looked at."""
        self._logger = logging.getLogger("cgk_jobs.run")
        self._level = self._logger.level

    def start(self) -> None:
        """Listen to what handlers log with ``ctx.log``."""
        self._level = self._logger.level
        self._logger.addHandler(self)
        if not self._logger.isEnabledFor(logging.INFO):
            self._logger.setLevel(logging.INFO)

    def stop(self) -> None:
        """Leave the logger as it was."""
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level)

    def emit(self, record: logging.LogRecord) -> None:
        """A handler logged a line."""
        tenant_id = getattr(record, "tenant_id", None)
        if isinstance(tenant_id, str):
            self._compare(tenant_id, current_scope(), "log line", getattr(record, "run_id", None))

    def wrote(self, tenant_id: str, what: str, claim: Claim | None = None) -> None:
        """Something is about to be written for ``tenant_id``."""
        self._compare(tenant_id, current_scope(), what, None if claim is None else to_id(claim.seq, claim.nonce))

    def _compare(self, tenant_id: str, scope: Scope | None, what: str, run_id: str | None) -> None:
        # Outside any scope it is the test itself, or a request, that sends.
        self.seen += 1
        if scope is None or scope.tenant_id == tenant_id:
            return
        if scope.tenant_id is None and run_id is None and tenant_id == PLATFORM:
            return
        self.leaks.append(Leak(tenant_id, scope.tenant_id, scope.reason, what, run_id))

    def check(self) -> None:
        """Raises :class:`TenantLeak` that lists every leak seen so far."""
        if self.leaks:
            lines = "".join(f"\n  {leak}" for leak in self.leaks)
            raise TenantLeak(f"{len(self.leaks)} write(s) for another tenant than the current one:{lines}")


@dataclass(frozen=True, slots=True)
class TenantTrace:
    """What a tenant's runs left, with its id replaced, so that two tenants can be compared."""

    lines: tuple[str, ...]

    @classmethod
    def of(cls, tenant_id: str, runs: list[Run]) -> TenantTrace:
        """The trace of a tenant's runs, whatever order they ran in."""
        return cls(tuple(sorted(_line(run).replace(tenant_id, "<tenant>") for run in runs)))


def _line(run: Run) -> str:
    steps = ", ".join(f"{step.name}={dumps(step.result)}" for step in run.steps)
    log = "; ".join(line.message for line in run.log)
    return f"{run.task}: {run.state} after {run.attempt}, result {dumps(run.result)}, error {run.error}, steps [{steps}], log [{log}]"


def mentions(tenant_id: str, runs: list[Run]) -> list[str]:
    """The runs of another tenant in which ``tenant_id`` is named: in result, error, steps or log."""
    named = re.compile(rf"(?<![a-z0-9_-]){re.escape(tenant_id)}(?![a-z0-9_-])").search
    return [f"run {run.id} of {run.tenant_id!r} names {tenant_id!r}: {_line(run)}" for run in runs if named(_line(run))]
