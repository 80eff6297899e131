"""Quotas on SQLite: looked at before anything of a send is written, counted in the same transaction.

What a send costs is estimated first, and refused then if it must be; what it has cost is counted from the rows themselves
before the commit. So whatever a send turns into, the count stays that of the runs there are.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from cgk_jobs.engine.quotas import (
    NOTHING,
    RECOUNT_EVERY,
    RECOUNT_FIRST,
    Cost,
    Counter,
    Crossing,
    TenantQuotas,
    charge,
    returned,
)
from cgk_jobs.engine.sqlite.configuration import Configuration
from cgk_jobs.engine.sqlite.database import QUERIES
from cgk_jobs.errors import QuotaExceeded, TenantClosed

__all__ = ["QuotaBook"]


class QuotaBook:
    """The counters of tenants that have quotas. Written by :meth:`write`, before each commit."""

    def __init__(self, db: sqlite3.Connection, configuration: Configuration) -> None:
        self._db = db
        self._configuration = configuration
        self._counters: dict[str, Counter] = {}
        self._estimates: dict[str, tuple[int, Cost]] = {}
        # The last number before a tenant's first send of this transaction, and what its sends were reckoned to cost.
        self._recounts: dict[str, int] = {}
        self.crossings: list[Crossing] = []
        """Soft quotas reached since the owner last emptied it."""

    def forget(self) -> None:
        """The transaction was rolled back."""
        self._counters.clear()
        self._estimates.clear()
        self._recounts.clear()
        self.crossings = []

    # -- sends -------------------------------------------------------------------------------------------------------

    def admit(self, costs: Mapping[str, Cost], now: int, last_seq: int) -> None:
        """Count what a send costs its tenants, all of which have quotas. ``last_seq``: the last number given so far.

        Raises ``QuotaExceeded`` and ``TenantClosed``; nothing is counted or written then.
        """
        charged = [
            charge(self._configuration.quotas[tenant_id], self._counter(tenant_id), cost, now)
            for tenant_id, cost in costs.items()
        ]
        for counter, crossed in charged:
            tenant_id = counter.tenant_id
            self._counters[tenant_id] = counter
            first_seq, before = self._estimates.get(tenant_id, (last_seq, NOTHING))
            self._estimates[tenant_id] = (first_seq, before.plus(costs[tenant_id]))
            self.crossings += crossed

    def admit_ticks(self, costs: Sequence[tuple[str, Cost]], now: int, last_seq: int) -> list[bool]:
        """Whether each of these ticks (tenant and cost) is taken. One that is not is counted as refused."""
        answers: list[bool] = []
        for tenant_id, cost in costs:
            try:
                self.admit({tenant_id: cost}, now, last_seq)
            except (QuotaExceeded, TenantClosed):
                counter = self._counter(tenant_id)
                self._counters[tenant_id] = counter._replace(refused_ticks=counter.refused_ticks + 1)
                answers.append(False)
            else:
                answers.append(True)
        return answers

    def revived(self, seq: int, tenant_id: str) -> None:
        """A run that had ended has not any more. It is counted, and never refused: an operator wishes it."""
        if tenant_id in self._configuration.quotas:
            row = self._db.execute(QUERIES["payload_bytes"], (seq, tenant_id)).fetchone()
            counter = self._counter(tenant_id)
            self._counters[tenant_id] = counter._replace(
                runs=counter.runs + 1, payload_bytes=counter.payload_bytes + row[0]
            )

    def _counter(self, tenant_id: str) -> Counter:
        counter = self._counters.get(tenant_id)
        if counter is None:
            row = self._db.execute(QUERIES["read_quota_counter"], (tenant_id,)).fetchone()
            counter = self._counters[tenant_id] = Counter(*row) if row else Counter(tenant_id)
        return counter

    # -- settings ----------------------------------------------------------------------------------------------------

    def put(self, quotas: TenantQuotas, now: int) -> None:
        """Write a tenant's quotas; what it has used already is counted."""
        if quotas.is_empty:
            self._db.execute(QUERIES["remove_quotas"], (quotas.tenant_id,))
            self._db.execute(QUERIES["remove_quota_counter"], (quotas.tenant_id,))
            self._counters.pop(quotas.tenant_id, None)
            self._recounts.pop(quotas.tenant_id, None)
        else:
            self._db.execute(QUERIES["put_quotas"], quotas)
            self._counters[quotas.tenant_id] = self._counter(quotas.tenant_id)._replace(warned=0)
            self._recounts[quotas.tenant_id] = now + RECOUNT_FIRST
        self._configuration.changed()

    def recount(self, now: int) -> None:
        """Count anew what was not for long, so that a mistake of counting does not stay."""
        if self._configuration.quotas:
            for (tenant_id,) in self._db.execute(QUERIES["recounts_due"], (now,)).fetchall():
                self._recounts[tenant_id] = now + RECOUNT_EVERY

    # -- the end of a transaction ------------------------------------------------------------------------------------

    def write(self, finished: Iterable[int]) -> None:
        """Write the counts. ``finished``: the runs that ended in this transaction, whose rows are written."""
        ended: dict[str, tuple[int, int]] = {}
        if self._configuration.quotas and finished:
            seqs = json.dumps(sorted(set(finished)))
            ended = {row[0]: (row[1], row[2]) for row in self._db.execute(QUERIES["count_ended"], (seqs,))}
        for tenant_id in {*self._counters, *ended, *self._recounts}:
            if tenant_id in self._configuration.quotas:
                self._write_one(tenant_id, *ended.get(tenant_id, (0, 0)))
        self._counters.clear()
        self._estimates.clear()
        self._recounts.clear()

    def _write_one(self, tenant_id: str, ended: int, ended_bytes: int) -> None:
        counter = self._counter(tenant_id)
        if tenant_id in self._recounts:
            runs, payload_bytes = self._db.execute(QUERIES["count_unfinished"], (tenant_id,)).fetchone()
            counter = counter._replace(runs=runs, payload_bytes=payload_bytes, recount_at=self._recounts[tenant_id])
        else:
            counter = self._with_what_came(counter)
            counter = returned(counter, ended, ended_bytes)
        self._db.execute(QUERIES["put_quota_counter"], counter)

    def _with_what_came(self, counter: Counter) -> Counter:
        if counter.tenant_id not in self._estimates:
            return counter
        last_seq, estimate = self._estimates[counter.tenant_id]
        runs, payload_bytes = self._db.execute(QUERIES["count_added"], (counter.tenant_id, last_seq)).fetchone()
        return counter._replace(
            runs=counter.runs - estimate.runs + runs,
            payload_bytes=counter.payload_bytes - estimate.payload_bytes + payload_bytes,
        )
