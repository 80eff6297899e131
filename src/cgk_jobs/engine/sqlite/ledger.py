"""The verbs of the ledger on SQLite. Each runs inside a transaction that ``commits.py`` opened."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from cgk_jobs.clock import Clock
from cgk_jobs.engine.budgets import tenant_keys
from cgk_jobs.engine.flow import ORDER_HOLD, excludes_others
from cgk_jobs.engine.holds import paused_tenant_hold, unknown_task_hold
from cgk_jobs.engine.metadata import merged_metadata
from cgk_jobs.engine.quotas import TenantQuotas
from cgk_jobs.engine.records import (
    Claim,
    LogLine,
    NewEvent,
    RunKey,
    ScheduleRecord,
    Stored,
    Subscription,
    TenantRecord,
    WorkerRecord,
)
from cgk_jobs.engine.sqlite.awaiting import WaitBook
from cgk_jobs.engine.sqlite.cancelling import Canceller
from cgk_jobs.engine.sqlite.claiming import Desk
from cgk_jobs.engine.sqlite.configuration import Configuration
from cgk_jobs.engine.sqlite.database import QUERIES
from cgk_jobs.engine.sqlite.erasure import Eraser
from cgk_jobs.engine.sqlite.fairness import FairOrder
from cgk_jobs.engine.sqlite.families import Families
from cgk_jobs.engine.sqlite.flowing import FlowGate
from cgk_jobs.engine.sqlite.journal import JournalBook
from cgk_jobs.engine.sqlite.limits import LimitBook
from cgk_jobs.engine.sqlite.sending import Inbox
from cgk_jobs.engine.sqlite.tenant_tables import TenantTable
from cgk_jobs.engine.sqlite.wakeups import WakeupBook
from cgk_jobs.engine.wakeups import LEASE
from cgk_jobs.errors import DuplicateKey, JobsError, QuotaExceeded, TenantClosed
from cgk_jobs.runtime.execute import newer_version_hold
from cgk_jobs.wire.ids import COUNTER_BITS, to_id

__all__ = ["SqliteLedger"]

_ALL = -1
"""``LIMIT -1`` means no limit."""


class SqliteLedger:
    """One connection and what is remembered beside it. Not thread-safe: its owner serialises the verbs."""

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        self.db = connection
        self._clock = clock
        self._data_version = -1
        self.configuration = Configuration(connection)
        self.order = FairOrder(connection, self.configuration)
        self.limits = LimitBook(connection, self.order, self.configuration)
        self.desk = Desk(connection, clock, self.configuration, self.order, self.limits)
        self.eraser = Eraser(connection, self.configuration, self.limits)
        self._canceller = Canceller(connection, clock, self.desk, self.limits)
        gate = FlowGate(connection, self.desk, self.limits, self._canceller)
        self.inbox = Inbox(connection, clock, self.configuration, self.order, gate)
        self.journal = JournalBook(connection, clock)
        self.families = Families(connection, self.configuration, self.inbox, self.desk, self.journal)
        self.waits = WaitBook(connection, clock, self.configuration, self.inbox, self.journal, self.families)
        self.wakeups = WakeupBook(connection, clock, self.configuration, self.inbox, self.desk)
        self.desk.ended = self.families.ended
        self.inbox.tell_waits = self.waits.sent
        self._pruned_up_to = 0

    def begin(self) -> None:
        """Notice what another connection may have changed; called as each transaction begins."""
        (version,) = self.db.execute("PRAGMA data_version").fetchone()
        if version != self._data_version:
            self._data_version = version
            self.configuration.refresh()
            self.order.others_wrote()
            self.inbox.others_wrote()
            self.desk.others_wrote()
        else:
            self.order.nobody_wrote()

    def finish(self) -> None:
        """Write what has gathered; called before each commit."""
        self.inbox.write()
        self.desk.due_at(self.inbox.first_due)
        self.inbox.quotas.write(self.desk.finished)

    def forget(self) -> None:
        """A transaction was rolled back: what is remembered is ahead of the file."""
        self._data_version = -1
        self.configuration.forget()
        self.order.forget()
        self.inbox.forget()
        self.desk.forget()

    # -- events ------------------------------------------------------------------------------------------------------

    def insert(self, events: Sequence[NewEvent]) -> list[Stored] | JobsError:
        """Store events with a run for each task that listens. A refusal that has written nothing is the answer."""
        try:
            return self.inbox.insert(events)
        except (QuotaExceeded, TenantClosed) as refusal:
            return refusal

    def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Make tasks known to every process that sends, and free the runs that waited for somebody to know them."""
        news = [row for row in subscriptions if self.configuration.tasks.get(row.task) != row]
        if news:
            self.db.executemany(QUERIES["put_subscription"], news)
            self.configuration.changed()
        for row in subscriptions:
            self.release(unknown_task_hold(row.task))
            self.release(newer_version_hold(row.task))

    def release(self, hold: str) -> int:
        """Make ready what was parked for this reason, in its old order; returns how many."""
        rows = self.db.execute(QUERIES["held_runs"], (hold, _ALL)).fetchall()
        for seq, tenant_id, queue, lane, _, _ in rows:
            self.desk.make_ready(seq, tenant_id, queue, lane)
        self.inbox.made_ready += len(rows)
        return len(rows)

    def _release_backlog(self, hold: str, tenant_id: str) -> None:
        """Let all of a tenant's runs go that are parked for this reason: in their order, taking turns from now on."""
        waiting: dict[str, list[tuple[int, int, float]]] = {}
        for seq, queue, lane, vstart in self.db.execute(QUERIES["held_backlog"], (hold,)):
            waiting.setdefault(queue, []).append((seq, lane, vstart))
        held_by = self.configuration.hold_of(tenant_id)
        for queue, runs in waiting.items():
            places = self.order.lay_out(queue, tenant_id, [run[1:] for run in runs])
            rows = [(held_by, *place, run[0]) for run, place in zip(runs, places, strict=True)]
            self.db.executemany(QUERIES["release_run"], rows)
            self.inbox.made_ready += len(rows)

    # -- what an attempt writes --------------------------------------------------------------------------------------

    def write_progress(self, claim: Claim, progress: str) -> bool:
        """Keep how far an attempt is (JSON). False: it no longer holds its run."""
        return self.db.execute(QUERIES["write_progress"], (progress, claim.seq, claim.token)).rowcount == 1

    def write_metadata(self, claim: Claim, changes: str) -> bool:
        """Merge fields (JSON object) into what is kept about a run. False: the attempt no longer holds its run."""
        row = self.db.execute(QUERIES["read_metadata"], (claim.seq, claim.token)).fetchone()
        if row is None:
            return False
        self.db.execute(QUERIES["write_metadata"], (merged_metadata(row[0], changes), claim.seq, claim.token))
        return True

    def append_log(self, claim: Claim, lines: Sequence[LogLine]) -> bool:
        """Keep lines a handler logged. False: the attempt no longer holds its run."""
        if self.db.execute(QUERIES["holds_run"], (claim.seq, claim.token)).fetchone() is None:
            return False
        self.desk.append_log(claim, lines)
        return True

    # -- runs --------------------------------------------------------------------------------------------------------

    def cancel(self, runs: Sequence[RunKey], *, tree: bool) -> int:
        """Cancel runs that wait, and ask the workers of those that run to; returns how many there were of either."""
        self.inbox.write()
        return self._canceller.cancel(runs, tree=tree)

    def retry(self, run: RunKey, queue: str, lane: int) -> bool:
        """Start a run that ended badly again from attempt 1, its journal kept. False if it did not end badly.

        Raises ``DuplicateKey`` if its key allows one run at a time and there is one.
        """
        self.inbox.write()
        row = self.db.execute(QUERIES["find_ended"], (run.seq, run.tenant_id)).fetchone()
        if row is None:
            return False
        flow_key, order_key = row
        if excludes_others(flow_key):
            other = self.db.execute(QUERIES["find_unfinished"], (run.tenant_id, flow_key)).fetchone()
            if other is not None:
                raise DuplicateKey(
                    f"run {to_id(*other)} of the same key has not ended: wait for it, or cancel it first"
                )
        self.families.reopen(run, self._retry_children)
        hold: str | None = ORDER_HOLD
        vstart, jumped = 0.0, 0.0
        if order_key is None or not self.desk.lines.is_held(run.tenant_id, order_key):
            hold = self.configuration.hold_of(run.tenant_id)
            vstart, jumped = self.order.place(queue, run.tenant_id, lane)
        values = (vstart, jumped, hold, run.seq, run.tenant_id)
        done = self.db.execute(QUERIES["retry_run"], values).rowcount == 1
        self.inbox.made_ready += done
        if done:
            self.inbox.quotas.revived(run.seq, run.tenant_id)
        return done

    def _retry_children(self, tenant_id: str, seqs: Sequence[int]) -> set[int]:
        """Start those again that ended badly; which were. Thousands of children mostly are simple, and go together."""
        hold = self.configuration.hold_of(tenant_id)
        simple: list[tuple[float, float, str | None, int, str]] = []
        again: set[int] = set()
        rows = self.db.execute(QUERIES["find_ended_children"], (json.dumps(seqs), tenant_id)).fetchall()
        for seq, queue, lane, is_simple in rows:
            if is_simple:
                simple.append((*self.order.place(queue, tenant_id, lane), hold, seq, tenant_id))
            elif self.retry(RunKey(tenant_id, seq), queue, lane):
                again.add(seq)
        self.db.executemany(QUERIES["retry_run"], simple)
        self.inbox.made_ready += len(simple)
        for _, _, _, seq, _ in simple:
            self.inbox.quotas.revived(seq, tenant_id)
            again.add(seq)
        return again

    def replay(self, event: NewEvent, original: int, from_step: str | None) -> Stored:
        """A new run of the same payload, with the journal of ``original`` before ``from_step``."""
        (stored,) = self.inbox.insert([event])
        self.inbox.write()
        if from_step is not None:
            values = {"to": stored.run_seqs[0], "from": original, "step": from_step, "tenant": event.tenant_id}
            self.db.execute(QUERIES["copy_steps"], values)
        return stored

    # -- workers -----------------------------------------------------------------------------------------------------

    def add_worker(self, worker: WorkerRecord) -> int:
        """Register a worker (its ``id`` is ignored); the number marks the runs it holds and is never given again."""
        number = self.db.execute(QUERIES["add_worker"], worker[1:]).lastrowid or 0
        self.configuration.changed()
        return number

    def beat(self, worker: int) -> bool:
        """Note that a worker is alive. False: it was given up, and its runs went to others."""
        return self.db.execute(QUERIES["beat_worker"], (self._clock.micros(), worker)).rowcount == 1

    def rescue(self, worker: int, *, spend_attempt: bool) -> int:
        """Take a worker's runs back and forget it; returns how many runs. A crash spends their attempt, a drain doesn't."""
        now = self._clock.micros()
        rows = self.db.execute(QUERIES["busy_runs"], (worker,)).fetchall()
        error = "the worker process ended during the attempt" if spend_attempt else None
        for seq, tenant_id, _, claim, attempt, slots, cancel_asked, order_key in rows:
            state, due_at, finished_at = ("cancelled", None, now) if cancel_asked else ("retrying", now, None)
            self.db.execute(QUERIES["rescue_run"], (attempt + spend_attempt, error, state, due_at, finished_at, seq))
            if spend_attempt:
                self.db.execute(QUERIES["insert_attempt"], (seq, claim, tenant_id, attempt, "crashed", error, now))
            if slots is not None:
                self.limits.free(json.loads(slots))
            if cancel_asked:
                self.desk.finished.append(seq)
                if order_key is not None:
                    self.desk.lines.advance(tenant_id, order_key)
                self.families.ended(seq)
            self.desk.due_at(due_at)
        if self.db.execute(QUERIES["remove_worker"], (worker,)).rowcount:
            self.configuration.changed()
        self.inbox.made_ready += len(rows)
        return len(rows)

    def cancels_asked(self, worker: int) -> list[int]:
        """The runs of ``worker`` somebody asked to cancel."""
        return [row[0] for row in self.db.execute(QUERIES["cancels_asked"], (worker,))]

    # -- tenants, queues, schedules ----------------------------------------------------------------------------------

    def put_tenant(self, tenant: TenantRecord) -> None:
        """Write a tenant's settings; a pause parks its ready runs, its end frees them."""
        self.inbox.write()
        before = self.configuration.tenant(tenant.id)
        self.configuration.put_tenant(tenant)
        hold = paused_tenant_hold(tenant.id)
        if before is not None and before.weight != tenant.weight:
            self.order.change_share(tenant.id, before.weight / tenant.weight)
        if tenant.paused:
            self.db.execute(QUERIES["park_tenant"], (hold, tenant.id))
        elif before is not None and before.paused:
            self._release_backlog(hold, tenant.id)
        if before is not None and before[4:7] != tenant[4:7]:
            # Another concurrency or rate: who waited for the old one is measured by the new one at the next claim.
            for key in tenant_keys(tenant.id):
                self._release_backlog(key, tenant.id)

    def put_quotas(self, quotas: TenantQuotas) -> None:
        """Write a tenant's quotas; they hold from this transaction on."""
        self.inbox.write()
        self.inbox.quotas.put(quotas, self._clock.micros())

    def purge(self, tenant_id: str, tables: list[TenantTable], count: int) -> Mapping[str, int]:
        """Delete rows of a tenant; see the boundary."""
        self.inbox.write()
        return self.eraser.purge(tenant_id, tables, count, self._clock.micros())

    def forget_tenant(self, tenant_id: str) -> None:
        """Forget a tenant's settings, and its places in the fair order."""
        self.eraser.forget(tenant_id)
        self.order.forget()

    def pause(self, kind: str, name: str) -> None:
        """Pause a queue or a schedule."""
        self.db.execute(QUERIES["put_paused"], (kind, name, self._clock.micros()))
        self.configuration.changed()

    def resume(self, kind: str, name: str) -> None:
        """End a pause."""
        self.db.execute(QUERIES["remove_paused"], (kind, name))
        self.configuration.changed()
        self.inbox.made_ready += 1

    def schedule(self, schedule_id: str, timezone: str, expression: str, *, declare: bool) -> ScheduleRecord:
        """How far a schedule has fired in a zone; see the boundary."""
        now = self._clock.micros()
        row = self.db.execute(QUERIES["find_schedule"], (schedule_id, timezone)).fetchone()
        if row is None:
            record = ScheduleRecord(schedule_id, timezone, expression, now)
        else:
            record = ScheduleRecord(*row)
            if record.expression == expression or not declare:
                return record
            # A tick half fired under the old expression stays: its other tenants are owed it.
            record = record._replace(expression=expression, last_at=max(record.last_at, now))
        self.db.execute(QUERIES["put_schedule"], (*record,))
        return record

    def fire(self, before: ScheduleRecord, after: ScheduleRecord, events: Sequence[NewEvent]) -> list[Stored] | None:
        """Store a part of a tick's runs and move the schedule on, if it stands where the caller saw it; else ``None``."""
        row = self.db.execute(QUERIES["find_schedule"], (before.id, before.timezone)).fetchone()
        if row is None or ScheduleRecord(*row) != before:
            return None
        stored = self.inbox.insert_ticks(events)
        self.db.execute(QUERIES["put_schedule"], (*after,))
        return stored

    # -- upkeep ------------------------------------------------------------------------------------------------------

    def expire(self) -> int:
        """End runs that were not started in time; returns how many."""
        rows = self.db.execute(QUERIES["expired_runs"], (self._clock.micros(),)).fetchall()
        for (seq,) in rows:
            self.desk.expire(seq)
        self.limits.sweep()
        self.limits.forget_idle(self._clock.micros())
        self.inbox.quotas.recount(self._clock.micros())
        return len(rows)

    def first_seen(self, key: str, until: int) -> bool:
        """Whether a signed call comes for the first time; it is remembered until a moment."""
        return self.db.execute(QUERIES["note_seen_call"], (key, until)).rowcount == 1

    def was_seen(self, key: str) -> bool:
        """Whether a signed call is remembered."""
        return self.db.execute(QUERIES["find_seen_call"], (key,)).fetchone() is not None

    def take_lease(self, name: str, seconds: float) -> int | None:
        """Hold a name alone, for so long: the lease's number, or ``None`` while another one is held."""
        now = self._clock.micros()
        row = self.db.execute(QUERIES["take_lease"], (LEASE + name, now + round(seconds * 1e6), now)).fetchone()
        return None if row is None else row[0]

    def drop_lease(self, name: str, lease: int | None) -> bool:
        """Let a lease go before its time; ``None``: whoever holds it. False: there was none such."""
        return self.db.execute(QUERIES["drop_lease"], (LEASE + name, lease)).rowcount == 1

    def prune(self, before: int, count: int) -> int:
        """Delete up to ``count`` runs that finished before a moment, and keys past their time; returns how many runs."""
        last = (before // 1000) << COUNTER_BITS
        rows = self.db.execute(QUERIES["finished_runs"], (self._pruned_up_to, last, before, count)).fetchall()
        # Old runs that still wait stay behind the mark: they are not looked at again until the process starts anew.
        self._pruned_up_to = rows[-1][0] if len(rows) == count else 0
        seqs = json.dumps([seq for (seq,) in rows])
        for name in ("delete_steps", "delete_attempts", "delete_logs", "delete_tags", "delete_waits", "delete_runs"):
            self.db.execute(QUERIES[name], (seqs,))
        for name in ("prune_keys", "prune_throttles", "prune_seen_calls"):
            self.db.execute(QUERIES[name], (self._clock.micros(),))
        self.db.execute(QUERIES["prune_unrouted"], (last,))
        self.db.execute(QUERIES["prune_marks"], (last,))
        return len(rows)
