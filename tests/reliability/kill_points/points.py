"""The points at which a process is killed: one table, in the order in which the life of a run passes them.

Every point names the function it is about, the moment (see ``arming.py``), and the story in which it is passed. ``when``
tells the calls that are meant from others of the same function: it is asked with the answer (``None`` before the call) and
the arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.reliability.kill_points.arming import Moment

__all__ = ["POINTS", "POSTGRES_POINTS", "Point", "find"]

_SQLITE = "cgk_jobs.engine.sqlite."
_STORE = _SQLITE + "store:SqliteStore."
_LEDGER = _SQLITE + "ledger:SqliteLedger."
_GATE = _SQLITE + "flowing:FlowGate."
_INBOX = _SQLITE + "sending:Inbox."
_DESK = _SQLITE + "claiming:Desk."
_LIMITS = _SQLITE + "limits:LimitBook."
_LINES = _SQLITE + "lines:Lines."
_JOURNAL = _SQLITE + "journal:JournalBook."
_WAITS = _SQLITE + "awaiting:WaitBook."
_FAMILIES = _SQLITE + "families:Families."
_WORKER = "cgk_jobs.engine.worker:Worker."
_SCHEDULER = "cgk_jobs.engine.scheduler:Scheduler."
_PIPELINE = "cgk_jobs.runtime.execute:Pipeline."
_HISTORY = "cgk_jobs.runtime.history:History."
_VENDOR = "tests.reliability.kill_points.vendor:Vendor."


class Point(NamedTuple):
    """One point. ``after``: another point, at which the process before this one has died."""

    name: str
    means: str
    story: str
    calls: str
    moment: Moment
    when: Callable[..., bool] | None = None
    after: str = ""


# -- what is meant of a function's calls -----------------------------------------------------------------------------------


def _sends(event: str) -> Callable[..., bool]:
    return lambda answer, events, *_: any(one.name == event for one in events)


def _settles(*states: str, failing: bool = False) -> Callable[..., bool]:
    def when(answer: Any, settlements: Any) -> bool:
        return any(one.state in states and bool(one.failing) == failing for one in settlements)

    return when


def _step(name: str, *, pending: bool = False) -> Callable[..., bool]:
    def when(answer: Any, claim: Any, entry: str, result: Any, place: Any, **marks: Any) -> bool:
        return entry == name and bool(marks.get("pending")) == pending

    return when


def _portion(first: int) -> Callable[..., bool]:
    def when(answer: Any, *_: Any, concurrency: int | None, **options: Any) -> bool:
        return concurrency is not None and options["first"] == first

    return when


def _asked(kind: str) -> Callable[..., bool]:
    return lambda answer, asked, *_, **options: asked == kind and not options.get("refuse")


def _something(answer: Any, *_: Any, **__: Any) -> bool:
    return bool(answer)


def _claims(answer: Any, *_: Any) -> bool:
    return bool(answer.claims)


def _spends(answer: Any, *_: Any, spend_attempt: bool) -> bool:
    return spend_attempt


def _leaves(answer: Any, *_: Any, spend_attempt: bool) -> bool:
    return not spend_attempt


# fmt: off
POINTS: tuple[Point, ...] = (
    # a worker takes its seat
    Point("tasks declared", "the tasks are known to senders, and nothing was sent", "money", _LEDGER + "subscribe", "committed"),
    Point("seat asked for", "the worker holds its lock file, and the ledger does not know of it", "money", _LEDGER + "add_worker", "before"),
    Point("seat taken", "the worker is registered and has not looked for work", "money", _LEDGER + "add_worker", "committed"),
    Point("heart beats", "the first heartbeat is written, not committed", "money", _LEDGER + "beat", "committing"),
    # an event is sent
    Point("send asked for", "nothing of the event is stored", "money", _INBOX + "insert", "before"),
    Point("send written", "event and run are numbered, not committed", "money", _INBOX + "insert", "after"),
    Point("send committing", "event, run and key are written, not committed", "money", _INBOX + "insert", "committing"),
    Point("send committed", "stored, and the sender was not told", "money", _INBOX + "insert", "committed"),
    # a run is claimed
    Point("limit drawn on", "a slot of the limit is taken, the claim is not committed", "money", _LIMITS + "admit", "after"),
    Point("claim committing", "runs are marked running, not committed", "money", _DESK + "exchange", "committing", _claims),
    Point("claim committed", "runs are this worker's, and it was not told", "money", _DESK + "exchange", "committed", _claims),
    Point("attempt begun", "the worker knows of the run, the handler was not called", "money", _PIPELINE + "run", "before"),
    # a step
    Point("vendor told", "the step's function has done its work, the step is not stored", "money", _VENDOR + "ask", "after", _asked("payout")),
    Point("failed try counted", "the step's first try has failed: that is written, not committed", "money", _JOURNAL + "record", "committing", _step("transfer", pending=True)),
    Point("failed try committed", "the failed try is stored, the next has not begun", "money", _JOURNAL + "record", "committed", _step("transfer", pending=True)),
    Point("step asked to be stored", "the step's result is known to the handler's process alone", "money", _STORE + "record_step", "before"),
    Point("step committing", "the step is written, not committed", "money", _JOURNAL + "record", "committing", _step("transfer")),
    Point("step committed", "the step is stored, and the handler was not told", "money", _JOURNAL + "record", "committed", _step("transfer")),
    Point("step noted", "the handler goes on after its step", "money", _HISTORY + "note", "after"),
    Point("metadata committed", "what the handler keeps about the run is stored", "money", _LEDGER + "write_metadata", "committed"),
    Point("handler's send committing", "an event sent by the handler is written, not committed", "money", _INBOX + "insert", "committing", _sends("kill.payout_sent")),
    Point("handler's send committed", "it is stored, and the handler was not told", "money", _INBOX + "insert", "committed", _sends("kill.payout_sent")),
    Point("own transaction written", "the step and the handler's own rows are in one transaction, not committed", "money", _SQLITE + "own_transaction:write_entry", "after"),
    Point("own transaction committed", "the step and the handler's own rows are stored", "money", _HISTORY + "note", "before", lambda answer, entry: entry.name == "post"),
    # an attempt ends
    Point("attempt over", "the handler has returned, and nobody has written it", "money", _PIPELINE + "run", "after"),
    Point("failure committing", "a failed attempt is written, its run is to be tried again, not committed", "money", _DESK + "settle", "committing", _settles("retrying")),
    Point("failure committed", "the run waits for its next attempt, the worker was not told", "money", _DESK + "settle", "committed", _settles("retrying")),
    Point("next attempt ready", "the run has a place again in the fair order, not committed", "money", _DESK + "make_ready", "committing"),
    Point("settlement asked for", "the worker hands an ending over", "money", _STORE + "exchange", "before", lambda answer, worker, settlements, appetite: bool(settlements)),
    Point("settlement written", "endings are written, no new claims yet, not committed", "money", _DESK + "settle", "after"),
    Point("limit given back", "a slot is free again, not committed", "money", _LIMITS + "free", "committing"),
    Point("settlement committed", "the ending is stored, and the worker was not told", "money", _DESK + "settle", "committed", _settles("completed")),
    # sleeping and waiting
    Point("sleep committed", "the moment of waking is stored, the handler is not unwound", "waits", _JOURNAL + "record", "committed", _step("sleep")),
    Point("suspending", "the handler is about to be unwound", "waits", _HISTORY + "park", "before"),
    Point("suspension committing", "the run is marked waiting, not committed", "waits", _DESK + "settle", "committing", _settles("waiting")),
    Point("suspension committed", "the run waits, and the worker was not told", "waits", _DESK + "settle", "committed", _settles("waiting")),
    Point("wait committing", "the wait for an event is written, not committed", "waits", _WAITS + "begin", "committing"),
    Point("wait committed", "the wait is stored, the run not suspended", "waits", _WAITS + "begin", "committed"),
    Point("event answers waits", "an event and its answers to waits are written, not committed", "waits", _WAITS + "sent", "committing"),
    Point("event has answered waits", "both are stored, and nobody was told", "waits", _WAITS + "sent", "committed"),
    Point("wait's end committing", "the wait's time is over: that is written, not committed", "waits", _WAITS + "end", "committing"),
    Point("wait's end committed", "it is stored, the handler was not told", "waits", _WAITS + "end", "committed"),
    # undoing
    Point("undoing committed", "the run has failed for good and is to be undone, the worker was not told", "saga", _DESK + "settle", "committed", _settles("waiting", "queued", "retrying", failing=True)),
    Point("undoing begun", "the handler was run to its last finished step", "saga", "cgk_jobs.runtime.execute:undo_steps", "before"),
    Point("undo's try committed", "the try counts, the undo was not called", "saga", _JOURNAL + "record", "committed", _step("undo:charge", pending=True)),
    Point("undone at the vendor", "the undo has done its work and is not stored", "saga", _VENDOR + "ask", "after", _asked("undone")),
    Point("undo committing", "the undo is written, not committed", "saga", _JOURNAL + "record", "committing", _step("undo:charge")),
    Point("undo committed", "one of two is undone", "saga", _JOURNAL + "record", "committed", _step("undo:charge")),
    Point("undone run committing", "the run is marked failed, not committed", "saga", _DESK + "settle", "committing", lambda answer, settlements: any(one.state == "failed" for one in settlements)),
    # children
    Point("child committing", "a child and the journal's note of it are written, not committed", "family", _FAMILIES + "spawn", "committing"),
    Point("child committed", "both are stored, the caller is not suspended", "family", _FAMILIES + "spawn", "committed"),
    Point("first portion committed", "the first of three portions of children is stored", "family", _FAMILIES + "spawn", "committed", _portion(0)),
    Point("second portion committing", "the second portion is written, not committed", "family", _FAMILIES + "spawn", "committing", _portion(2)),
    Point("second portion committed", "two of three portions are stored", "family", _FAMILIES + "spawn", "committed", _portion(2)),
    Point("child's end told", "a child's end and its caller's waking are written, not committed", "family", _FAMILIES + "ended", "committing"),
    Point("child has ended", "both are stored, and nobody was told", "family", _FAMILIES + "ended", "committed"),
    Point("next child released", "a child held back has a place, the transaction is not committed", "family", _FAMILIES + "_release_next", "after"),
    Point("caller woken", "the caller is made ready, not committed", "family", _FAMILIES + "wake", "committing"),
    # order and batches
    Point("line moved up", "a run of a line has ended and the next has a place, not committed", "lines", _LINES + "advance", "committing"),
    Point("line has moved up", "both are stored, and nobody was told", "lines", _LINES + "advance", "committed"),
    Point("batch joined", "an event has joined a batch, not committed", "lines", _GATE + "_batch", "committing"),
    Point("batch has grown", "it is stored, and the sender was not told", "lines", _GATE + "_batch", "committed"),
    # schedules
    Point("tick asked for", "a tick is due, nothing of it is stored", "ticks", _SCHEDULER + "_fire_part", "before"),
    Point("tick committing", "half a tick's runs and the schedule's row are written, not committed", "ticks", _LEDGER + "fire", "committing", _something),
    Point("tick committed", "half a tick's runs are stored", "ticks", _LEDGER + "fire", "committed", _something),
    Point("tick noted", "the scheduler goes on to the rest of the tick", "ticks", _SCHEDULER + "_fire_part", "after"),
    # cancelling
    Point("cancel committing", "a tree of waiting runs is cancelled, not committed", "cancel", _LEDGER + "cancel", "committing"),
    Point("cancel committed", "it is stored, and the caller was not told", "cancel", _LEDGER + "cancel", "committed"),
    Point("cancel asked for", "a running run was asked to stop and does not know it", "cancel", _WORKER + "cancel", "before"),
    Point("cancelled run committing", "its end is written, not committed", "cancel", _DESK + "settle", "committing", _settles("cancelled")),
    # upkeep
    Point("expiry committing", "a run that was not started in time is ended, not committed", "upkeep", _LEDGER + "expire", "committing", _something),
    Point("expiry committed", "it is stored, and upkeep was not told", "upkeep", _LEDGER + "expire", "committed", _something),
    Point("prune committing", "finished runs are deleted, not committed", "upkeep", _LEDGER + "prune", "committing", _something),
    Point("prune committed", "one portion of finished runs is gone", "upkeep", _LEDGER + "prune", "committed", _something),
    # recovery itself: the process before has died in a step
    Point("rescue asked for", "a worker is seen to be dead, nothing was taken back", "money", _LEDGER + "rescue", "before", _spends, after="vendor told"),
    Point("rescue committing", "its runs are taken back, not committed", "money", _LEDGER + "rescue", "committing", _spends, after="vendor told"),
    Point("rescue committed", "its runs are free, its lock file is still there", "money", _LEDGER + "rescue", "committed", _spends, after="vendor told"),
    Point("claimed again", "a rescued run has a new owner, who was not told", "money", _DESK + "exchange", "committed", _claims, after="vendor told"),
    Point("told again", "a step lost with its process was done again, and is lost again", "money", _VENDOR + "ask", "after", _asked("payout"), after="vendor told"),
    # a worker stops
    Point("drain begun", "the worker was asked to stop", "money", _WORKER + "stop", "before"),
    Point("seat given up", "the worker's row is gone, its lock file is not", "money", _LEDGER + "rescue", "committed", _leaves),
)
# fmt: on
_PG = "cgk_jobs.engine.postgres."

# fmt: off
POSTGRES_POINTS: tuple[Point, ...] = (
    Point("server: seat taken", "the worker is registered and has not looked for work", "money", _PG + "store:PostgresStore.take_seat", "after"),
    Point("server: send asked for", "nothing of the event is stored", "money", _PG + "store:PostgresStore.insert", "before"),
    Point("server: send committed", "stored, and the sender was not told", "money", _PG + "store:PostgresStore.insert", "after"),
    Point("server: claim committed", "runs are this worker's, and it was not told", "money", _PG + "store:PostgresStore.exchange", "after", _claims),
    Point("server: vendor told", "the step's function has done its work, the step is not stored", "money", _VENDOR + "ask", "after", _asked("payout")),
    Point("server: step asked to be stored", "the step's result is known to the handler's process alone", "money", _PG + "store:PostgresStore.record_step", "before"),
    Point("server: step committed", "the step is stored, and the handler was not told", "money", _PG + "store:PostgresStore.record_step", "after"),
    Point("server: settlement asked for", "the worker hands an ending over", "money", _PG + "store:PostgresStore.exchange", "before", lambda answer, worker, settlements, appetite: bool(settlements)),
    Point("server: settlement committing", "endings are written, not committed", "money", _PG + "settling:Settling._settle", "committing"),
    Point("server: settlement committed", "endings are stored, and the worker was not told", "money", _PG + "settling:Settling._settle", "committed"),
    Point("server: line has moved up", "a run of a line has ended and the next is ready, and nobody was told", "lines", _PG + "settling:Settling._settle", "committed"),
    Point("server: tick asked for", "a tick is due, nothing of it is stored", "ticks", _SCHEDULER + "_fire_part", "before"),
    Point("server: tick noted", "half a tick's runs are stored", "ticks", _SCHEDULER + "_fire_part", "after"),
    Point("server: rescue committing", "a dead worker's runs are taken back, not committed", "money", _PG + "seats:Seats._take_back", "committing", _spends, after="server: vendor told"),
    Point("server: rescue committed", "they are free, and nobody was told", "money", _PG + "seats:Seats._take_back", "committed", _spends, after="server: vendor told"),
)
# fmt: on


def find(name: str) -> Point:
    """The point of this name."""
    return next(point for point in (*POINTS, *POSTGRES_POINTS) if point.name == name)
