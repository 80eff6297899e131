"""The judge: reads the ledger and the vendor's book, and nothing of the processes that wrote them."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from tests.reliability.kill_points.stories import PAYOUTS, TICKS
from tests.reliability.kill_points.vendor import Vendor

from cgk_jobs.engine.states import FINAL
from cgk_jobs.wire.ids import to_id

__all__ = ["Ledger", "StoredSteps", "complaints"]

StoredSteps = frozenset[tuple[str, str]]
"""Run id and name of every finished step."""


class Row(NamedTuple):
    """A run, as far as the judge looks at it."""

    seq: int
    id: str
    tenant: str
    task: str
    state: str
    result: Any
    error: str | None
    parent: int | None
    tick_at: int | None
    events: int


class Ledger:
    """The tables of a ledger, by the database's own means. ``address``: of SQLite a path, of PostgreSQL its administrator's."""

    def __init__(self, address: Path | str) -> None:
        self._address = address
        self.in_file = isinstance(address, Path)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[Any]:
        if isinstance(self._address, Path):
            with contextlib.closing(sqlite3.connect(self._address, timeout=30)) as connection:
                yield connection
        else:
            options = "-c search_path=cgk_jobs -c statement_timeout=30s"
            with psycopg.connect(self._address, connect_timeout=30, options=options) as connection:
                yield connection

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self._asking() as connection:
            rows: list[tuple[Any, ...]] = connection.execute(query).fetchall()
            return rows

    def runs(self) -> list[Row]:
        """Every run, in the order made."""
        columns = "seq, nonce, tenant_id, task, state, {}, error, parent_seq, tick_at, events"
        query = f"SELECT {columns.format('result')} FROM runs ORDER BY seq"
        if not self.in_file:
            query = (
                f"SELECT {columns.format('NULL')} FROM runs UNION ALL "
                f"SELECT {columns.format('result')} FROM finished_runs ORDER BY seq"
            )
        return [
            Row(seq, to_id(seq, nonce), tenant, task, state, None if result is None else json.loads(result), *rest)
            for seq, nonce, tenant, task, state, result, *rest in self.ask(query)
        ]

    def stored_steps(self) -> StoredSteps:
        """Every finished step."""
        ids = {row.seq: row.id for row in self.runs()}
        rows = self.ask("SELECT run_seq, name FROM steps WHERE pending = 0")
        return frozenset((ids[seq], name) for seq, name in rows)


def complaints(ledger: Ledger, vendor: Vendor, stories: tuple[str, ...], stored: list[StoredSteps]) -> list[str]:
    """What is wrong. ``stored``: the finished steps as each dead process has left them, in the order of the deaths."""
    runs = ledger.runs()
    found = [f"{row.task} {row.id} has not ended: {row.state}" for row in runs if row.state not in FINAL]
    found += _left_behind(ledger)
    found += _lost_sends(runs, vendor, forgotten="upkeep" in stories)
    found += _done_again(vendor, stored)
    counts = Counter(seq for (seq,) in ledger.ask("SELECT run_seq FROM attempts WHERE outcome = 'crashed'"))
    found += [f"run {seq} crashed {count} times" for seq, count in counts.items() if count > len(stored)]
    for story in stories:
        found += [f"{story}: {complaint}" for complaint in _STORIES[story](ledger, runs, vendor)]
    return found


# -- whatever was told -----------------------------------------------------------------------------------------------------


def _left_behind(ledger: Ledger) -> Iterator[str]:
    """Seats, slots, places in line and claims that nobody will ever give back."""
    for what, query in (
        ("workers", "SELECT id, pid FROM workers"),
        ("used limits", "SELECT key, used FROM limits WHERE used > 0"),
        ("claims or slots", "SELECT seq, task, worker, slots FROM runs WHERE worker IS NOT NULL OR slots IS NOT NULL"),
        (
            "waits of ended runs",
            "SELECT w.* FROM event_waits w JOIN runs r ON r.seq = w.run_seq WHERE r.state = 'completed'",
        ),
        (
            "pending steps of completed runs",
            "SELECT r.task, s.name FROM steps s JOIN runs r ON r.seq = s.run_seq WHERE s.pending > 0 AND r.state = 'completed'",
        ),
    ):
        rows = ledger.ask(query)
        if rows:
            yield f"left behind: {what}: {rows}"
    if ledger.in_file and ledger.ask("PRAGMA integrity_check") != [("ok",)]:
        yield "the file is damaged"


def _lost_sends(runs: list[Row], vendor: Vendor, *, forgotten: bool) -> Iterator[str]:
    """Acknowledged, and not there; or the same key answered with other runs."""
    known = {row.id for row in runs}
    answers: dict[str, list[str]] = {}
    for line in vendor.lines("acknowledged"):
        if answers.setdefault(line.key, line.value) != line.value:
            yield f"key {line.key} was answered with {answers[line.key]} and with {line.value}"
        if not forgotten and not set(line.value) <= known:
            yield f"send {line.key} was acknowledged, and its runs {line.value} are not there"


def _done_again(vendor: Vendor, stored: list[StoredSteps]) -> Iterator[str]:
    """Steps whose functions were called though their results were stored."""
    lines = [line for line in vendor.lines() if line.step]
    for life, steps in enumerate(stored, 1):
        for line in lines:
            if line.life > life and (line.run, line.step) in steps:
                yield f"step {line.step} of {line.run} was stored in life {life}, and done again in life {line.life}"
    done = Counter((line.life, line.run, line.step) for line in lines if not line.refused)
    for (life, run, step), count in done.items():
        if count > 1:
            yield f"step {step} of {run} was done {count} times in life {life}"


def _different(what: str, found: Any, expected: Any) -> list[str]:
    return [] if found == expected else [f"{what}: {found}, not {expected}"]


def _ends(runs: list[Row], task: str) -> list[tuple[str, Any]]:
    return [(row.state, row.result) for row in runs if row.task == task]


# -- each story ------------------------------------------------------------------------------------------------------------


def _money(ledger: Ledger, runs: list[Row], vendor: Vendor) -> list[str]:
    asked = sorted(PAYOUTS.values())
    paid = vendor.effects("payout")
    in_ledger = [row.result for row in runs if row.task == "pay" and row.state == "completed"]
    found = _different("payouts in the vendor's book", sorted(paid.values()), asked)
    found += _different("payouts in the ledger", sorted(in_ledger), asked)
    found += _different("runs", len(_ends(runs, "pay")), len(asked))
    found += _different("postings", _ends(runs, "post"), [("completed", None)] * len(asked))
    if ledger.in_file:
        found += _different("posted", sorted(ledger.ask("SELECT number, cents FROM postings")), sorted(PAYOUTS.items()))
    at_once: Counter[int] = Counter()
    for line in vendor.lines():
        if line.kind in ("payout begun", "payout ended"):
            at_once[line.life] += 1 if line.kind == "payout begun" else -1
            if at_once[line.life] > 1:
                found.append(f"two payouts at once in life {line.life}, the limit is one")
    return found


def _saga(ledger: Ledger, runs: list[Row], vendor: Vendor) -> list[str]:
    found = _different("done", list(vendor.effects("done").values()), ["reserved", "charged"])
    found += _different("undone, in this order", list(vendor.effects("undone").values()), ["charged", "reserved"])
    errors = [(row.state, "out of stock" in (row.error or "")) for row in runs if row.task == "fulfil"]
    return found + _different("the run", errors, [("failed", True)])


def _waits(ledger: Ledger, runs: list[Row], vendor: Vendor) -> list[str]:
    found = _different("the order", _ends(runs, "follow"), [("completed", [700, True]), ("completed", [800, True])])
    found += _different("the till", _ends(runs, "till"), [("completed", None)] * 2)
    (sent,) = ledger.ask("SELECT count(*) FROM unrouted_events WHERE name = 'kill.order_paid'")
    keys = {(line.run, line.step) for line in vendor.lines("followed")}
    return found + _different("payments sent", sent[0], 2) + _different("steps", len(keys), 4)


def _family(ledger: Ledger, runs: list[Row], vendor: Vendor) -> list[str]:
    expected = [10, [20, 30], [40, 50, 60, 70, 80]]
    found = _different("gathered", _ends(runs, "packs"), [("completed", expected)])
    children = sorted(result for _, result in _ends(runs, "pack"))
    found += _different("children", children, [10 * number for number in range(1, 9)])
    return found + _different("packed", sorted(vendor.effects("packed").values()), list(range(1, 9)))


def _lines(ledger: Ledger, runs: list[Row], vendor: Vendor) -> list[str]:
    found = _different("moved, in this order", list(vendor.effects("moved shoe").values()), [0, 1, 2, 3])
    found += _different("moves", _ends(runs, "move"), [("completed", None)] * 4)
    batches = [result for state, result in _ends(runs, "count") if state == "completed"]
    found += _different("counted in batches", sorted(chain(*batches)), list(range(5)))
    found += _different("events", sum(row.events for row in runs if row.task == "count"), 5)
    found += _different("told", sorted(chain(*vendor.effects("counted").values())), list(range(5)))
    return found + [f"a batch of {len(batch)}" for batch in batches if len(batch) > 3]


def _ticks(ledger: Ledger, runs: list[Row], vendor: Vendor) -> list[str]:
    ticks = [row for row in runs if row.task == "yearly" and row.state == "completed"]
    years = sorted({row.result for row in ticks if row.result})
    found = _different("ticks", sorted((row.tenant, row.result) for row in ticks), [
        (tenant, year) for tenant in ("acme", "zen") for year in years
    ])  # fmt: skip
    found += _different("runs", len(_ends(runs, "yearly")), 2 * TICKS)
    found += _different("years", years, list(range(years[0], years[0] + TICKS)) if years else "some")
    return found + _different("counted", len(vendor.effects("year")), 2 * TICKS)


def _cancel(ledger: Ledger, runs: list[Row], vendor: Vendor) -> list[str]:
    states = sorted((row.task, row.state) for row in runs if row.task in ("campaign", "endless", "wait"))
    expected = [("campaign", "cancelled"), ("endless", "cancelled"), *[("wait", "cancelled")] * 3]
    return _different("the tree", states, expected)


def _upkeep(ledger: Ledger, runs: list[Row], vendor: Vendor) -> list[str]:
    found = _different("done", sorted(vendor.effects("old").values()), [0, 1, 2])
    found += _different("started too late", vendor.lines("late"), [])
    for table in ("runs", "steps", "attempts", "run_logs", "run_tags"):
        found += _different(f"left of {table}", ledger.ask(f"SELECT * FROM {table}"), [])
    return found


_STORIES = {
    "money": _money,
    "saga": _saga,
    "waits": _waits,
    "family": _family,
    "lines": _lines,
    "ticks": _ticks,
    "cancel": _cancel,
    "upkeep": _upkeep,
}
