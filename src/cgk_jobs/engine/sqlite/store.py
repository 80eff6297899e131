"""The verbs of the ledger on SQLite. Each runs inside a transaction that ``commits.py`` opened."""

from __future__ import annotations

import json
import random
import sqlite3

from cgk_jobs.clock import Clock
from cgk_jobs.engine.ids import COUNTER_BITS, NONCE_BITS, to_id
from cgk_jobs.engine.records import Claim, NewEvent, RunRecord, Settlement, Stored, Subscription
from cgk_jobs.engine.sqlite.database import QUERIES
from cgk_jobs.errors import DuplicateKey

__all__ = ["SqliteLedger"]

_AHEAD = 32.0
"""Places of a tenant's clock reserved per write, so that most transactions don't write it."""


class SqliteLedger:
    """The ledger's verbs. Not thread-safe: its owner serialises them."""

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        self.db = connection
        self._clock = clock
        self._random = random.SystemRandom()
        self._data_version = -1
        self._last_seq = 0
        self._subscriptions: dict[str, list[Subscription]] = {}
        self._tasks: dict[str, Subscription] = {}
        self._tenant_clock: dict[tuple[str, str], tuple[float, float]] = {}
        self._queue_clock: dict[str, float] = {}

    def refresh(self) -> None:
        """Forget what another connection may have changed; called as each transaction begins."""
        (version,) = self.db.execute("PRAGMA data_version").fetchone()
        if version != self._data_version:
            self.forget()
            self._data_version = version

    def forget(self) -> None:
        """Read everything anew: another connection wrote, or a transaction was rolled back."""
        (self._last_seq,) = self.db.execute(
            "SELECT max(ifnull((SELECT max(seq) FROM runs), 0), ifnull((SELECT max(event_seq) FROM runs), 0))"
            if self._last_seq == 0
            else "SELECT max(?, ifnull((SELECT max(seq) FROM runs), 0))",
            () if self._last_seq == 0 else (self._last_seq,),
        ).fetchone()
        self._tenant_clock.clear()
        self._queue_clock.clear()
        self._data_version = -1
        self._read_subscriptions()

    def _read_subscriptions(self) -> None:
        rows = [Subscription(*row) for row in self.db.execute(QUERIES["list_subscriptions"])]
        self._tasks = {row.task: row for row in rows}
        self._subscriptions = {}
        for row in rows:
            if row.event:
                self._subscriptions.setdefault(row.event, []).append(row)

    def _next_seq(self) -> int:
        self._last_seq = max(self._last_seq + 1, (self._clock.micros() // 1000) << COUNTER_BITS)
        return self._last_seq

    def subscribe(self, subscriptions: list[Subscription]) -> None:
        """Make tasks known to every process that sends, and free the runs that waited for somebody to know them."""
        self.db.executemany(QUERIES["put_subscription"], subscriptions)
        self.db.executemany(QUERIES["release_known"], [(f"unknown:{row.task}",) for row in subscriptions])
        self._read_subscriptions()

    # -- fairness ----------------------------------------------------------------------------------------------------

    def _virtual_now(self, queue: str) -> float:
        if queue not in self._queue_clock:
            row = self.db.execute(QUERIES["read_clock"], (queue, "")).fetchone()
            self._queue_clock[queue] = row[0] if row else 0.0
        return self._queue_clock[queue]

    def _place(self, queue: str, tenant_id: str) -> float:
        """The virtual start time of a run that becomes ready: start-time fair queuing (Goyal, Vin, Cheng 1996)."""
        key = (queue, tenant_id)
        known = self._tenant_clock.get(key)
        if known is None:
            row = self.db.execute(QUERIES["read_clock"], key).fetchone()
            known = (row[0], row[0]) if row else (0.0, 0.0)
        last, reserved = known
        place = max(last, self._virtual_now(queue)) + 1.0
        if place > reserved:
            reserved = place + _AHEAD
            self.db.execute(QUERIES["write_clock"], (queue, tenant_id, reserved))
        self._tenant_clock[key] = (place, reserved)
        return place

    # -- sending -----------------------------------------------------------------------------------------------------

    def insert(self, events: list[NewEvent]) -> list[Stored]:
        """Store events with a run for each task that listens. Raises ``DuplicateKey``: one key, two payloads."""
        now = self._clock.micros()
        runs: list[tuple[object, ...]] = []
        answers: list[Stored] = []
        for event in events:
            if event.key is not None:
                known = self.db.execute(
                    QUERIES["find_key"], (event.tenant_id, event.task or event.name, event.key, now)
                ).fetchone()
                if known:
                    if known[0] != event.payload:
                        raise DuplicateKey(
                            f"key {event.key!r} of {event.name} was used with another payload: "
                            "a key names one event; choose another key"
                        )
                    answers.append(Stored(known[1], tuple(json.loads(known[2])), duplicate=True))
                    continue
            nonce = self._random.getrandbits(NONCE_BITS)
            event_seq = self._next_seq()
            targets = [self._tasks[event.task]] if event.task else self._subscriptions.get(event.name, ())
            ids: list[str] = []
            for target in targets:
                seq = self._next_seq()
                later = event.due_at is not None and event.due_at > now
                expires = event.expires if event.expires is not None else target.expires
                runs.append(
                    (
                        seq, nonce, event.tenant_id, target.task, target.queue, "scheduled" if later else "queued",
                        0.0 if later else self._place(target.queue, event.tenant_id),
                        event.due_at if later else None,
                        None if expires is None else (event.due_at or now) + round(expires * 1e6),
                        event_seq, event.name, event.version, event.payload,
                        ",".join(filter(None, (target.tags, event.tags))), now,
                    )
                )  # fmt: skip
                ids.append(to_id(seq, nonce))
            if not targets:
                self.db.execute(
                    QUERIES["insert_unrouted"],
                    (event_seq, nonce, event.tenant_id, event.name, event.version, event.payload, now),
                )
            stored = Stored(to_id(event_seq, nonce), tuple(ids))
            if event.key is not None:
                self.db.execute(
                    QUERIES["insert_key"],
                    (event.tenant_id, event.task or event.name, event.key, event.payload, stored.event_id,
                     json.dumps(stored.run_ids), event.key_until),
                )  # fmt: skip
            answers.append(stored)
        self.db.executemany(QUERIES["insert_run"], runs)
        return answers

    # -- attempts ----------------------------------------------------------------------------------------------------

    def claim(self, worker: int, queues: tuple[str, ...], count: int) -> list[Claim]:
        """Hand up to ``count`` ready runs to ``worker``, in the fair order of each queue."""
        claims: list[Claim] = []
        for queue in queues:
            rows = self.db.execute(
                QUERIES["claim_runs"],
                {"worker": worker, "now": self._clock.micros(), "queue": queue, "count": count - len(claims)},
            ).fetchall()
            if rows:
                found = sorted((Claim(*row) for row in rows), key=lambda claim: claim.vstart)
                before = self._virtual_now(queue)
                if found[-1].vstart > before:
                    self._queue_clock[queue] = found[-1].vstart
                    self.db.execute(QUERIES["write_clock"], (queue, "", found[-1].vstart))
                claims += found
            if len(claims) >= count:
                break
        return claims

    def settle(self, settlement: Settlement) -> bool:
        """Write how an attempt ended. False: it no longer held its run, and nothing was written."""
        claim = settlement.claim
        final = settlement.state in ("completed", "failed", "cancelled", "expired")
        cursor = self.db.execute(
            QUERIES["settle_attempt"],
            (settlement.state, settlement.attempt, settlement.result, settlement.error, settlement.due_at,
             settlement.held_by, self._clock.micros() if final else None, claim.seq, claim.token),
        )  # fmt: skip
        return cursor.rowcount == 1

    def record_step(self, claim: Claim, name: str, result: str | None) -> bool:
        """Journal a finished step. False: the attempt no longer holds its run."""
        values = {
            "seq": claim.seq,
            "name": name,
            "result": result,
            "now": self._clock.micros(),
            "token": claim.token,
        }
        return self.db.execute(QUERIES["record_step"], values).rowcount == 1

    def steps(self, seq: int) -> dict[str, str | None]:
        """The journal of a run: JSON results by step name."""
        return dict(self.db.execute(QUERIES["list_steps"], (seq,)).fetchall())

    def promote(self) -> int | None:
        """Make ready what is due; returns the next due moment."""
        now = self._clock.micros()
        for seq, tenant_id, queue in self.db.execute(QUERIES["due_runs"], (now,)).fetchall():
            self.db.execute(QUERIES["make_ready"], (self._place(queue, tenant_id), seq))
        row = self.db.execute(QUERIES["next_due"]).fetchone()
        return None if row is None else row[0]

    # -- schedules and tenants ---------------------------------------------------------------------------------------

    def last_tick(self, schedule: str) -> int:
        """The newest fired tick of a schedule; one never seen begins now."""
        self.db.execute("INSERT OR IGNORE INTO schedules VALUES (?, ?)", (schedule, self._clock.micros()))
        (last,) = self.db.execute("SELECT last_at FROM schedules WHERE id = ?", (schedule,)).fetchone()
        return int(last)

    def fire(self, schedule: str, at: int, events: list[NewEvent]) -> int:
        """Store the runs of a tick, each tenant's once, and remember it, in one transaction; returns how many are new."""
        stored = self.insert(events)
        self.db.execute("UPDATE schedules SET last_at = max(last_at, ?) WHERE id = ?", (at, schedule))
        return sum(not item.duplicate for item in stored)

    def add_tenant(self, tenant_id: str) -> None:
        """Add a tenant to those that ``tenants="each"`` means."""
        self.db.execute("INSERT OR IGNORE INTO tenants VALUES (?, ?)", (tenant_id, self._clock.micros()))

    def tenants(self, *, seen: bool) -> list[str]:
        """Added tenants; with ``seen`` also those that ever sent."""
        query = QUERIES["list_tenants_seen" if seen else "list_tenants"]
        return [row[0] for row in self.db.execute(query)]

    # -- workers -----------------------------------------------------------------------------------------------------

    def add_worker(self, pid: int, lock_file: str) -> int:
        """Register a worker; its number marks the runs it holds."""
        cursor = self.db.execute("INSERT INTO workers (pid, lock_file) VALUES (?, ?)", (pid, lock_file))
        return cursor.lastrowid or 0

    def workers(self) -> list[tuple[int, str]]:
        """Number and lock file of every registered worker."""
        return self.db.execute("SELECT id, lock_file FROM workers").fetchall()

    def rescue(self, worker: int) -> int:
        """Take a dead worker's runs back; returns how many."""
        count = self.db.execute(QUERIES["rescue_runs"], {"worker": worker, "now": self._clock.micros()}).rowcount
        self.db.execute("DELETE FROM workers WHERE id = ?", (worker,))
        return count

    def cancels_asked(self, worker: int) -> list[int]:
        """The runs of ``worker`` somebody asked to cancel."""
        return [row[0] for row in self.db.execute(QUERIES["cancels_asked"], (worker,))]

    # -- runs --------------------------------------------------------------------------------------------------------

    def cancel(self, seq: int) -> None:
        """Cancel a run that waits, or ask the worker that runs it to."""
        if not self.db.execute(QUERIES["cancel_waiting"], (self._clock.micros(), seq)).rowcount:
            self.db.execute(QUERIES["ask_cancel"], (seq,))

    def retry(self, seq: int) -> bool:
        """Start a finished run again from attempt 1, its journal kept. False if it is not finished unsuccessfully."""
        return self.db.execute(QUERIES["retry_run"], (self._clock.micros(), seq)).rowcount == 1

    def find(self, tenant_id: str | None, seq: int, nonce: int) -> RunRecord | None:
        """The run, if it is in the scope: one tenant, or ``None`` for all."""
        values = {"seq": seq, "nonce": nonce, "tenant": tenant_id}
        row = self.db.execute(QUERIES["find_run"], values).fetchone()
        return RunRecord(*row) if row else None

    def list(
        self,
        tenant_id: str | None,
        *,
        task: str | None,
        event: str | None,
        state: str | None,
        before: int,
        count: int,
    ) -> list[RunRecord]:
        """Runs of the scope, newest first, older than ``before``."""
        values = {
            "tenant": tenant_id,
            "task": task,
            "event": event,
            "state": state,
            "before": before,
            "count": count,
        }
        return [RunRecord(*row) for row in self.db.execute(QUERIES["list_runs"], values)]

    def count(self, tenant_id: str | None) -> dict[str, int]:
        """How many runs of the scope are in each state."""
        return dict(self.db.execute(QUERIES["count_runs"], {"tenant": tenant_id}).fetchall())
