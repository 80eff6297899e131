"""Settling attempts and claiming runs: the two halves of what a worker exchanges with the ledger."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Sequence

from cgk_jobs.clock import Clock
from cgk_jobs.engine.budgets import draws_of
from cgk_jobs.engine.flow import cancelled_instead
from cgk_jobs.engine.holds import unknown_task_hold
from cgk_jobs.engine.records import Appetite, Claim, Exchange, Settlement
from cgk_jobs.engine.sqlite.configuration import Configuration
from cgk_jobs.engine.sqlite.database import QUERIES
from cgk_jobs.engine.sqlite.fairness import FairOrder
from cgk_jobs.engine.sqlite.limits import LimitBook
from cgk_jobs.engine.sqlite.lines import Lines
from cgk_jobs.engine.states import FINAL, legal
from cgk_jobs.errors import InvalidTask

__all__ = ["Desk"]

_PROMOTED_AT_ONCE = 500
_LOOKED_AT = 4
"""Times the wanted number of runs a claim looks at: what it parks on the way must not hold the transaction open."""


class Desk:
    """Where attempts begin and end."""

    def __init__(
        self, db: sqlite3.Connection, clock: Clock, configuration: Configuration, order: FairOrder, limits: LimitBook
    ) -> None:
        self._db = db
        self._clock = clock
        self._configuration = configuration
        self._order = order
        self._limits = limits
        self.lines = Lines(db, limits, self.make_ready)
        self._next_due: int | None = None
        self._next_due_known = False
        self._others_may_park = True
        self.ended: Callable[[int], None] = _nobody
        """Called with the number of each run that ended and may have been called by another."""
        self.finished: list[int] = []
        """Runs that ended for good since the owner last emptied it."""

    def others_wrote(self) -> None:
        """Another process may have given runs a moment, or parked some whose task it does not know."""
        self._next_due_known = False
        self._others_may_park = True

    def forget(self) -> None:
        """The transaction was rolled back."""
        self._next_due_known = False
        self._others_may_park = True
        self.finished.clear()

    def due_at(self, moment: int | None) -> None:
        """A run was given this moment."""
        if moment is not None and self._next_due_known and (self._next_due is None or moment < self._next_due):
            self._next_due = moment

    def exchange(self, worker: int, settlements: Sequence[Settlement], appetite: Appetite | None) -> Exchange:
        """Write how attempts ended, make ready what is due, and hand out new claims, all in the caller's transaction."""
        stale = self.settle(settlements) if settlements else []
        next_due = self.promote()
        claims: list[Claim] = []
        more = False
        # A worker given up for dead learns of it at its next heartbeat; until then it gets nothing, as nobody would look
        # after what it holds.
        if appetite is not None and appetite.count > 0 and worker in self._configuration.workers:
            claims, more = self._claim(worker, appetite)
        return Exchange(claims, stale, next_due, more)

    # -- settling ----------------------------------------------------------------------------------------------------

    def settle(self, settlements: Sequence[Settlement]) -> list[Claim]:
        """Write how attempts ended; answers those that no longer held their run, of which nothing was written."""
        now = self._clock.micros()
        plain: list[Settlement] = []
        stale: list[Claim] = []
        for item in settlements:
            # The most, and the least to write: one statement for all of them.
            claim = item.claim
            plain_claim = claim.slots is None and claim.parent_seq is None and claim.order_key is None
            if item.state == "completed" and plain_claim and not item.log:
                plain.append(item)
            elif not self._settle_one(item, now):
                stale.append(claim)
        if plain:
            stale += self._complete(plain, now)
        if len(stale) > 1:
            lost = {claim.seq for claim in stale}
            stale = [item.claim for item in settlements if item.claim.seq in lost]
        return stale

    def _complete(self, plain: Sequence[Settlement], now: int) -> list[Claim]:
        rows = [(item.result, now, item.claim.seq, item.claim.token) for item in plain]
        changed = self._db.executemany(QUERIES["complete_attempt"], rows).rowcount
        if changed == len(plain):
            self.finished += [item.claim.seq for item in plain]
            return []
        # Rare, and the statement does not say which: whoever still has this claim's token was not stale.
        stale = [item.claim for item in plain if not self._was_completed(item.claim)]
        lost = {claim.seq for claim in stale}
        self.finished += [item.claim.seq for item in plain if item.claim.seq not in lost]
        return stale

    def _was_completed(self, claim: Claim) -> bool:
        return self._db.execute(QUERIES["was_completed"], (claim.seq, claim.token)).fetchone() is not None

    def _settle_one(self, item: Settlement, now: int) -> bool:
        claim = item.claim
        if not legal("running", item.state):
            raise InvalidTask(f"a running run can't become {item.state}: see engine/states.py")
        undone = item.failing is not None or claim.failing is not None
        if item.state not in FINAL and not undone and self.is_cancel_asked(claim):
            # Asked to stop, it failed, slept or was put back instead. It must not start again, unless to be undone.
            item = cancelled_instead(item)
        final = item.state in FINAL
        expires_at = claim.expires_at if item.state == "queued" else None
        if item.state == "waiting" and self._was_woken(claim):
            item = item._replace(state="queued", due_at=None)
        vstart, jumped = claim.vstart, claim.jumped
        held_by = item.held_by
        if item.state == "queued" and held_by is None:
            held_by = self._configuration.hold_of(claim.tenant_id)
            vstart, jumped = self._order.place(claim.queue, claim.tenant_id, claim.lane)
        changed = self._db.execute(
            QUERIES["settle_attempt"],
            (item.state, item.attempt, item.result, item.error, item.due_at, held_by, vstart, jumped,
             now if final else None, item.kept_slots, expires_at, item.failing, claim.seq, claim.token),
        ).rowcount  # fmt: skip
        if not changed:
            return False
        if item.outcome:
            self._db.execute(
                QUERIES["insert_attempt"],
                (claim.seq, claim.token, claim.tenant_id, claim.attempt, item.outcome, item.error, now),
            )
        if item.log:
            self.append_log(claim, item.log)
        if claim.slots is not None:
            kept = json.loads(item.kept_slots) if item.kept_slots else ()
            self._limits.free([key for key in json.loads(claim.slots) if key not in kept])
        self.due_at(item.due_at)
        if final:
            self.finished.append(claim.seq)
            if claim.order_key is not None:
                self.lines.advance(claim.tenant_id, claim.order_key)
            if claim.parent_seq is not None:
                self.ended(claim.seq)
        return True

    def is_cancel_asked(self, claim: Claim) -> bool:
        """Whether somebody asked to cancel the run this attempt holds."""
        return self._db.execute(QUERIES["is_cancel_asked"], (claim.seq, claim.token)).fetchone() is not None

    def _was_woken(self, claim: Claim) -> bool:
        row = self._db.execute(QUERIES["was_woken"], (claim.seq, claim.token)).fetchone()
        return row is not None and bool(row[0])

    def append_log(self, claim: Claim, lines: Sequence[tuple[int, str, str]]) -> None:
        """Keep lines a handler logged; the caller has checked the claim in this transaction."""
        (last,) = self._db.execute(QUERIES["last_log_line"], (claim.seq,)).fetchone()
        self._db.executemany(
            QUERIES["insert_log"],
            [(claim.seq, last + number, claim.tenant_id, claim.attempt, *line) for number, line in enumerate(lines, 1)],
        )

    # -- claiming ----------------------------------------------------------------------------------------------------

    def promote(self) -> int | None:
        """Make ready what is due; returns the next moment something is."""
        now = self._clock.micros()
        if not self._next_due_known or (self._next_due is not None and self._next_due <= now):
            due = self._db.execute(QUERIES["due_runs"], (now, _PROMOTED_AT_ONCE)).fetchall()
            known = self._configuration.tasks
            for seq, tenant_id, task, queue, lane in due:
                self.make_ready(seq, tenant_id, known[task].queue if task in known else queue, lane)
            self._limits.wake(now)
            moments = (self._db.execute(QUERIES["next_due"]).fetchone()[0], self._limits.next_wake())
            self._next_due = min((moment for moment in moments if moment is not None), default=None)
            self._next_due_known = True
        return self._next_due

    def make_ready(self, seq: int, tenant_id: str, queue: str, lane: int) -> None:
        """Give a run its place in the fair order, or park it if its tenant is paused."""
        vstart, jumped = self._order.place(queue, tenant_id, lane)
        self._db.execute(QUERIES["make_ready"], (queue, vstart, jumped, self._configuration.hold_of(tenant_id), seq))

    def _adopt(self, tasks: Collection[str]) -> None:
        """Make ready what a worker with other code has parked because it doesn't know a task this one knows."""
        self._others_may_park = False
        for (hold,) in self._db.execute(QUERIES["held_unknown_tasks"]).fetchall():
            if hold.removeprefix(unknown_task_hold("")) in tasks:
                rows = self._db.execute(QUERIES["held_runs"], (hold, _PROMOTED_AT_ONCE)).fetchall()
                for seq, tenant_id, queue, lane, *_ in rows:
                    self.make_ready(seq, tenant_id, queue, lane)
                self._others_may_park = self._others_may_park or len(rows) == _PROMOTED_AT_ONCE

    def _claim(self, worker: int, appetite: Appetite) -> tuple[list[Claim], bool]:
        if self._others_may_park:
            self._adopt(appetite.tasks)
        claims: list[Claim] = []
        now = self._clock.micros()
        for queue in appetite.queues:
            if queue in self._configuration.paused_queues:
                continue
            looked_at = 0
            while len(claims) < appetite.count:
                wanted = appetite.count - len(claims)
                rows = self._db.execute(QUERIES["ready_runs"], (queue, wanted)).fetchall()
                claims += self._take(worker, queue, rows, appetite, now)
                looked_at += len(rows)
                if len(rows) < wanted:
                    break
                if looked_at >= _LOOKED_AT * appetite.count:
                    return claims, True
            if len(claims) >= appetite.count:
                return claims, True
        return claims, False

    def _take(
        self, worker: int, queue: str, rows: list[tuple[object, ...]], appetite: Appetite, now: int
    ) -> list[Claim]:
        found: list[Claim] = []
        tasks, tenants, owed = appetite.tasks, self._configuration.tenants, self._order.owed
        for row in rows:
            claim = Claim(*row)  # type: ignore[arg-type]
            if claim.expires_at is not None and claim.expires_at <= now:
                self.expire(claim.seq)
                continue
            debt = owed(queue, claim.tenant_id, claim.lane, claim.jumped)
            if debt > 0:
                self._db.execute(QUERIES["move_back"], (claim.vstart + debt, claim.jumped + debt, claim.seq))
                continue
            budgets = tasks.get(claim.task, _UNKNOWN)
            if budgets is _UNKNOWN:
                self._db.execute(QUERIES["park_run"], (unknown_task_hold(claim.task), claim.seq))
                continue
            tenant = tenants.get(claim.tenant_id)
            if budgets is not None or (tenant is not None and (tenant.concurrency or tenant.rate)):
                admitted = self._admit(claim, budgets, now)
                if admitted is None:
                    continue
                claim = admitted
            found.append(claim)
        if found:
            self._order.advance(queue, found[-1].vstart)
            seqs = "[" + ",".join([str(claim.seq) for claim in found]) + "]"
            self._db.execute(QUERIES["take_runs"], (worker, now, seqs))
        return found

    def _admit(self, claim: Claim, budgets: object, now: int) -> Claim | None:
        tenant = self._configuration.tenants.get(claim.tenant_id)
        draws = draws_of(claim, budgets, tenant)  # type: ignore[arg-type]
        held: list[str] = []
        if claim.slots is not None:
            held = json.loads(claim.slots)
            draws = [draw for draw in draws if draw.key not in held]
        blocked = self._limits.admit(draws, now)
        if blocked is not None:
            self._db.execute(QUERIES["park_run"], (blocked, claim.seq))
            self._next_due_known = False
            return None
        keys = held + [draw.key for draw in draws if not draw.micros]
        if keys == held:
            return claim
        slots = json.dumps(keys)
        self._db.execute(QUERIES["hold_slots"], (slots, claim.seq))
        return claim._replace(slots=slots)

    def expire(self, seq: int) -> None:
        """End a run that was not started in time."""
        row = self._db.execute(QUERIES["expire_run"], (self._clock.micros(), seq)).fetchone()
        if row is not None:
            self.finished.append(seq)
            tenant_id, order_key = row
            if order_key is not None:
                self.lines.advance(tenant_id, order_key)
            self.ended(seq)


def _nobody(seq: int) -> None:
    """Nobody waits for the end of any run."""


_UNKNOWN = object()
