"""What becomes of an event that is sent to a task with flow control: the decisions, shared by every store. Pure.

A store looks up what there is for a key, asks here, and writes the answer in the same transaction. The keys:

- ``flow_key`` of a run names the runs it is one with, or instead of (``unique``, ``debounce``, ``batch``, ``latest``);
- ``order_key`` names the line it stands in (``ordered_by``). One run of a line is ahead, the others are parked with
  ``held_by = 'order'`` until it has ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, cast

from cgk_jobs.engine.records import Claim, NewEvent, Settlement, Stored, Subscription
from cgk_jobs.errors import InvalidEvent, RunCancelled
from cgk_jobs.events.sent import Duration, seconds
from cgk_jobs.tasks.flow import Batch, Debounce, Fields, Flow, Throttle, as_fields
from cgk_jobs.wire.ids import to_id
from cgk_jobs.wire.json import dumps, loads

__all__ = [
    "ORDER_HOLD",
    "Existing",
    "FlowKeys",
    "Fresh",
    "Joined",
    "Outcome",
    "Refused",
    "batch_is_full",
    "calls_nobody",
    "cancelled_instead",
    "check_moment",
    "debounced_until",
    "excludes_others",
    "flow_of",
    "joined_tags",
    "keys_of",
    "micros_of",
    "pack_runs",
    "refusal",
    "stored_of",
    "unpack_runs",
]

ORDER_HOLD = "order"
"""``held_by`` of a run that waits for an earlier one of its line."""

LONGEST_KEY = 200
LARGEST_BATCH_TEXT = 1_000_000
"""Characters from which on a batch is full, whatever its size."""


class FlowKeys(NamedTuple):
    """The keys of an event for one task; ``None`` where the task has no such wish."""

    flow: str | None
    order: str | None
    throttle: str | None


class Fresh(NamedTuple):
    """A run is made. ``payload``: instead of the event's. ``remembered_until``: its key counts so long, ended or not."""

    keys: FlowKeys
    due_at: int | None = None
    payload: str | None = None
    held_by: str | None = None
    remembered_until: int | None = None


class Joined(NamedTuple):
    """The event became part of a run that waits."""

    seq: int
    nonce: int


class Existing(NamedTuple):
    """There is a run for this key: none is made."""

    seq: int
    nonce: int


class Refused(NamedTuple):
    """The event is dropped for this task."""

    reason: str


Outcome = Fresh | Joined | Existing | Refused


@lru_cache(maxsize=1_000)
def flow_of(text: str) -> Flow:
    """The wishes in a subscription's text."""
    return Flow.read(text)


def keys_of(flow: Flow, task: str, event: NewEvent) -> FlowKeys:
    """The keys of an event. The tenant is not in them: it is a column of its own, and compared with every key."""
    values = _values(event.payload)
    group: str | None = None
    if flow.unique is not None:
        kind = "unique" if flow.unique.while_ == "unfinished" else "unique-queued"
        group = f"{kind}:{_key(task, flow.unique.by, values)}"
    elif flow.debounce is not None:
        group = f"debounce:{_key(task, flow.debounce.by, values)}"
    elif flow.batch is not None:
        # Events of two versions are not decoded alike: they don't share a batch.
        group = f"batch:{event.version}:{_key(task, flow.batch.by, values)}"
    elif flow.latest is not None:
        group = f"latest:{_key(task, flow.latest.by, values)}"
    order = _key(task, flow.ordered_by, values) if flow.ordered_by else None
    throttle = None if flow.throttle is None else _key(task, flow.throttle.by, values)
    return FlowKeys(group, order, throttle)


def excludes_others(flow_key: str | None) -> bool:
    """Whether only one run of this key may be unfinished, also when an old one is started again by hand."""
    return flow_key is not None and flow_key.startswith(("unique:", "latest:"))


def _key(task: str, by: Fields, values: Mapping[str, Any]) -> str:
    text = dumps([values.get(name) for name in as_fields(by)])
    if len(task) + len(text) > LONGEST_KEY:
        text = hashlib.sha256(text.encode()).hexdigest()
    return f"{task}:{text}"


def _values(payload: str) -> Mapping[str, Any]:
    values = loads(payload)
    return cast("dict[str, Any]", values) if isinstance(values, dict) else {}


def check_moment(flow: Flow, event: NewEvent, task: str, now: int) -> None:
    """Raise ``InvalidEvent`` for a delayed event of a task that decides itself when its runs start."""
    if event.due_at is None or event.due_at <= now:
        return
    for option in ("debounce", "batch", "ordered_by"):
        if getattr(flow, option):
            raise InvalidEvent(
                f"task {task} has {option}=, which decides when its runs start: send {event.name or 'the payload'} "
                "without delay= and at="
            )


def debounced_until(debounce: Debounce, first_at: int, now: int) -> int:
    """When a run starts whose first event came at ``first_at`` and whose last came now (microseconds)."""
    until = now + micros_of(debounce.seconds)
    return until if debounce.max_wait is None else min(until, first_at + micros_of(debounce.max_wait))


def batch_is_full(batch: Batch, events: int, characters: int) -> bool:
    """Whether a batch of so many events takes no more and starts."""
    return events >= batch.size or characters >= LARGEST_BATCH_TEXT


def refusal(throttle: Throttle, task: str) -> Refused:
    """What a send is told whose event is one too many."""
    return Refused(
        f"task {task} takes {throttle.n} in {seconds(throttle.seconds):g} s of each key and drops the rest (throttle=); "
        "use rate= to start them later instead"
    )


def micros_of(duration: Duration) -> int:
    """Microseconds of a duration."""
    return round(seconds(duration) * 1e6)


def cancelled_instead(item: Settlement) -> Settlement:
    """The ending of an attempt after which its run would go on, had nobody asked to cancel it."""
    return item._replace(
        state="cancelled", error=item.error or "cancelled while it ran", due_at=None, held_by=None, outcome="cancelled",
        kept_slots=None,
    )  # fmt: skip


def calls_nobody(claim: Claim) -> RunCancelled:
    """What an attempt is told that would make children of a run somebody asked to cancel."""
    return RunCancelled(f"run {to_id(claim.seq, claim.nonce)} is being cancelled: it calls no other runs any more")


def joined_tags(before: str, target: Subscription, event: NewEvent) -> str:
    """The tags of a run that takes another event in."""
    names = [tag for text in (before, target.tags, event.tags) if text for tag in text.split(",")]
    return ",".join(dict.fromkeys(names))


def stored_of(event_seq: int, nonce: int, outcomes: Sequence[tuple[Outcome, int]]) -> Stored:
    """What the sender is told: ``outcomes`` has how the event fared at each listener, and the number of a fresh run.

    A ``duplicate`` if no listener took it and one has a run for it; ``refused`` if every listener dropped it.
    """
    seqs: list[int] = []
    nonces: list[int] = []
    taken = False
    reason: str | None = None
    for outcome, seq in outcomes:
        if isinstance(outcome, Refused):
            reason = outcome.reason
            continue
        taken = taken or not isinstance(outcome, Existing)
        seqs.append(seq if isinstance(outcome, Fresh) else outcome.seq)
        nonces.append(nonce if isinstance(outcome, Fresh) else outcome.nonce)
    if not seqs:
        return Stored(0, 0, (), refused=reason)
    foreign = any(one != nonce for one in nonces)
    return Stored(event_seq, nonce, tuple(seqs), not taken, tuple(nonces) if foreign else None)


def pack_runs(stored: Stored) -> str:
    """The runs of an event as an idempotency key keeps them: numbers, or pairs where a run is of another event's making."""
    return dumps(stored.run_seqs if stored.nonces is None else list(zip(stored.run_seqs, stored.nonces, strict=True)))


def unpack_runs(event_seq: int, nonce: int, text: str) -> Stored:
    """What :func:`pack_runs` made, as the answer to a duplicate."""
    runs = loads(text)
    if runs and isinstance(runs[0], list):
        return Stored(event_seq, nonce, tuple(run[0] for run in runs), True, tuple(run[1] for run in runs))
    return Stored(event_seq, nonce, tuple(runs), duplicate=True)
