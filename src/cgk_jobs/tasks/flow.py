"""What a task wishes for its stream of events: one run for several, fewer runs, runs in order. Plain values, checked when declared.

A tenant is part of every key: runs of two tenants never meet. The decisions are in ``engine/flow.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from typing import Any, Literal, cast

from pydantic import BaseModel

from cgk_jobs.errors import InvalidTask
from cgk_jobs.wire.json import dumps, loads

__all__ = ["Batch", "Debounce", "Fields", "Flow", "Latest", "Throttle", "Unique", "as_fields", "ordered_fields"]

Fields = str | tuple[str, ...] | None
"""The event field or fields that make the key; ``None``: one key for the task in each tenant."""

LARGEST_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Unique:
    """At most one run of a key at a time; another send is a ``duplicate`` and answers the id of the run there is.

    ``while_="unfinished"``: until that run has ended. ``"queued"``: until it has started, so that what happens meanwhile
    gets a run of its own. ``period`` (seconds): also that long after the run was sent, unless it ended failed, cancelled
    or expired. Raises ``InvalidTask``.
    """

    by: Fields = None
    while_: Literal["unfinished", "queued"] = "unfinished"
    period: float | timedelta | None = None

    def __post_init__(self) -> None:
        _check_fields("Unique", self.by)
        if self.while_ not in ("unfinished", "queued"):
            raise InvalidTask(f"Unique(while_={self.while_!r}): choose unfinished or queued")
        if self.period is not None:
            object.__setattr__(self, "period", _seconds("Unique(period=…)", self.period))


@dataclass(frozen=True, slots=True)
class Debounce:
    """Wait until no event of a key has come for ``seconds``, then run once, with the last event.

    ``max_wait`` (seconds): start at the latest so long after the first event, however many follow. Raises ``InvalidTask``.
    """

    seconds: float | timedelta
    by: Fields = None
    max_wait: float | timedelta | None = None

    def __post_init__(self) -> None:
        _check_fields("Debounce", self.by)
        seconds = _seconds("Debounce(seconds)", self.seconds)
        object.__setattr__(self, "seconds", seconds)
        if self.max_wait is not None:
            longest = _seconds("Debounce(max_wait=…)", self.max_wait)
            if longest < seconds:
                raise InvalidTask(
                    f"Debounce({seconds:g}, max_wait={longest:g}): max_wait is at least the seconds waited"
                )
            object.__setattr__(self, "max_wait", longest)


@dataclass(frozen=True, slots=True)
class Throttle:
    """At most ``n`` events of a key in any window of ``seconds``; the surplus is dropped, and its send is ``refused``.

    ``Rate`` keeps the surplus and starts it later. Raises ``InvalidTask``.
    """

    n: int
    seconds: float | timedelta
    by: Fields = None

    def __post_init__(self) -> None:
        _check_fields("Throttle", self.by)
        if self.n < 1:
            raise InvalidTask(f"Throttle({self.n}): at least 1; to stop a task, pause its queue")
        object.__setattr__(self, "seconds", _seconds("Throttle(seconds)", self.seconds))


@dataclass(frozen=True, slots=True)
class Batch:
    """One run for many events of a key: its handler gets a list. Never two tenants in one batch.

    It starts when it has ``size`` events (2 to 1,000), or when its first has waited ``seconds``. A failure tries the whole
    batch again. Raises ``InvalidTask``.
    """

    size: int
    seconds: float | timedelta
    by: Fields = None

    def __post_init__(self) -> None:
        _check_fields("Batch", self.by)
        if not 2 <= self.size <= LARGEST_BATCH:
            raise InvalidTask(f"Batch({self.size}): 2 to {LARGEST_BATCH:,} events")
        object.__setattr__(self, "seconds", _seconds("Batch(seconds)", self.seconds))


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest run of a key wins: sending it cancels the older ones that have not ended.

    What waits is cancelled at once, what runs is asked to stop. Raises ``InvalidTask``.
    """

    by: Fields = None

    def __post_init__(self) -> None:
        _check_fields("Latest", self.by)


@dataclass(frozen=True, slots=True)
class Flow:
    """All of a task's wishes of this kind. Raises ``InvalidTask`` for two that contradict each other."""

    unique: Unique | None = None
    debounce: Debounce | None = None
    throttle: Throttle | None = None
    batch: Batch | None = None
    ordered_by: tuple[str, ...] = ()
    latest: Latest | None = None

    def __post_init__(self) -> None:
        wanted = {name for name in _OPTIONS if getattr(self, name)}
        for first, second, reason in _CLASHES:
            if first in wanted and second in wanted:
                raise InvalidTask(f"{first}= and {second}= contradict each other: {reason}. Choose one of them")

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in _OPTIONS)

    def named_fields(self) -> Iterable[tuple[str, str]]:
        """Every option with each event field it names."""
        for option in _OPTIONS:
            value = getattr(self, option)
            if value:
                for name in as_fields(value) if option == "ordered_by" else as_fields(value.by):
                    yield option, name

    def check(self, task_id: str, model: type[BaseModel] | None) -> None:
        """Raise ``InvalidTask`` for a field the event or payload does not have."""
        for option, name in self.named_fields():
            if model is None or name not in model.model_fields:
                known = "" if model is None else f" of {model.__name__}: {', '.join(model.model_fields)}"
                raise InvalidTask(f"task {task_id}: {option} by {name!r}: it must be a field{known}")
            if name == "tenant_id":
                raise InvalidTask(
                    f"task {task_id}: {option} by tenant_id: leave it out, the tenant is part of every key"
                )

    def stored(self) -> str:
        """The form that senders in other processes read; empty for no wish at all."""
        if not self:
            return ""
        chosen: dict[str, Any] = {}
        for name in _OPTIONS:
            value = getattr(self, name)
            if value:
                chosen[name] = list(value) if name == "ordered_by" else asdict(value)
        return dumps(chosen)

    @classmethod
    def read(cls, text: str) -> Flow:
        """What :meth:`stored` made. An option this code does not know is left out: newer code wrote it."""
        if not text:
            return cls()
        stored = cast("dict[str, Any]", loads(text))
        values: dict[str, Any] = {}
        for name, kind in _KINDS.items():
            if name in stored:
                known = {field.name for field in fields(kind)}
                given = {key: value for key, value in stored[name].items() if key in known}
                given["by"] = tuple(given["by"]) if isinstance(given.get("by"), list) else given.get("by")
                values[name] = kind(**given)
        return cls(**values, ordered_by=tuple(stored.get("ordered_by", ())))


_KINDS: dict[str, Any] = {
    "unique": Unique,
    "debounce": Debounce,
    "throttle": Throttle,
    "batch": Batch,
    "latest": Latest,
}
_OPTIONS = (*_KINDS, "ordered_by")

_CLASHES = (
    ("unique", "debounce", "a debounced task has one waiting run for a key already"),
    ("unique", "batch", "a batch takes every event, unique turns the second away"),
    ("unique", "latest", "one keeps the older run, the other the newer"),
    ("debounce", "batch", "debounce keeps the last event, a batch keeps all"),
    ("debounce", "throttle", "throttle may drop the last event, the one debounce is to keep"),
    ("debounce", "ordered_by", "a debounced run's start moves on, so it has no place in the order sent"),
    ("debounce", "latest", "debounce replaces what waits, latest cancels what runs as soon as an event comes"),
    ("batch", "latest", "a batch keeps every event, latest drops older ones"),
    ("batch", "ordered_by", "the events of a batch are handled together"),
    ("throttle", "latest", "throttle may drop the newest event, the one latest is to keep"),
)


def as_fields(value: Fields) -> tuple[str, ...]:
    """The fields of a key as a tuple."""
    return (value,) if isinstance(value, str) else value or ()


def ordered_fields(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """The fields of ``ordered_by=``. Raises ``InvalidTask`` for something else than field names."""
    _check_fields("ordered_by", value)
    if value == ():
        raise InvalidTask("ordered_by=(): name the field whose runs are to keep their order")
    return as_fields(value)


def _check_fields(kind: str, value: object) -> None:
    names = (value,) if isinstance(value, str) else () if value is None else value
    if not isinstance(names, tuple) or not all(isinstance(name, str) and name for name in names):  # pyright: ignore[reportUnknownVariableType]
        raise InvalidTask(f'{kind}: {value!r} must be an event field or a tuple of them, like "order_id"')


def _seconds(name: str, value: float | timedelta) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if not 0 < seconds < 10 * 366 * 86_400:
        raise InvalidTask(f"{name} is more than 0 seconds and at most ten years, got {value!r}")
    return seconds
