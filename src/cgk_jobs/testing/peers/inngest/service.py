"""What the service keeps: events, the functions registered, and their runs; what it would refuse is refused."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from cgk_jobs.clock import Clock

__all__ = ["ENDED", "Asked", "Faults", "NativeFunction", "NativeRun", "Refused", "Service"]

ENDED = frozenset({"Completed", "Failed", "Cancelled"})
MOST_EVENTS = 5_000
LARGEST_EVENT = 256 * 1024
MOST_TRIGGERS, MOST_RETRIES, MOST_LIMITS, MOST_CANCELS = 10, 20, 2, 5
YEAR_1980_MS = 315_532_800_000
_SAME = re.compile(r"event\.data\.(\w+) == async\.data\.(\w+)")


class Refused(Exception):
    """Answered with ``status``."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class Faults:
    """Counts go down with each request they befall. ``broken``: 500 before anything happens; ``broken_after``: 500 after it has.

    ``limited``: 429. ``garbled``: answers not of its form. ``lost``: acknowledged, and never run. ``copies``: calls of a function for
    each event. ``lagging``: an event's runs are not listed.
    """

    broken: int = 0
    broken_after: int = 0
    limited: int = 0
    garbled: int = 0
    lost: int = 0
    copies: int = 1
    lagging: bool = False

    def take(self, name: str) -> bool:
        """Whether this request is befallen."""
        left = int(getattr(self, name))
        if left:
            setattr(self, name, left - 1)
        return left > 0


@dataclass
class Asked:
    """A request of the application's, as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class NativeFunction:
    """A function, as the application registered it."""

    id: str
    app: str
    url: str
    retries: int
    events: frozenset[str]
    crons: tuple[str, ...]
    cancels: tuple[tuple[str, str], ...]
    config: Mapping[str, Any]


@dataclass
class NativeRun:
    """A function's run for an event. ``due_at``: microseconds since 1970 UTC."""

    id: str
    function: NativeFunction
    event: Mapping[str, Any]
    due_at: int
    status: str = "Running"
    attempt: int = 0
    output: Any = None
    statuses: list[int] = field(default_factory=list[int])


class Service:
    """The state of one environment."""

    def __init__(self, clock: Clock, faults: Faults) -> None:
        self.clock, self.faults = clock, faults
        self.functions: dict[str, NativeFunction] = {}
        self.runs: dict[str, NativeRun] = {}
        self.by_event: dict[str, list[str]] = {}
        """Runs by the event's internal id."""
        self._known: set[tuple[str, str]] = set()

    # -- events ------------------------------------------------------------------------------------------------------

    def take(self, body: object) -> list[str]:
        """Take events; their internal ids. Raises ``Refused``."""
        events: list[Any] = [*cast("list[object]", body)] if isinstance(body, list) else [body]
        if len(events) > MOST_EVENTS:
            for event in events[:MOST_EVENTS]:
                self._take_one(event)  # as the vendor does: refused, and taken all the same
            raise Refused("too many events")
        for event in events:
            self._check(event)
        return [self._take_one(event) for event in events]

    def _check(self, event: Any) -> None:
        fields = cast("dict[str, Any]", event) if isinstance(event, dict) else {}
        if not isinstance(fields.get("name"), str) or not fields["name"]:
            raise Refused("event name is empty")
        if not isinstance(fields.get("data"), dict):
            raise Refused("event data must be an object")
        ts = fields.get("ts", YEAR_1980_MS)
        if not isinstance(ts, int) or ts < YEAR_1980_MS:
            raise Refused("timestamp is before Jan 1, 1980")
        if len(str(fields)) > LARGEST_EVENT:
            raise Refused("event too large", 413)

    def _take_one(self, event: Mapping[str, Any]) -> str:
        now = self.clock.micros()
        internal = _ulid()
        runs = self.by_event.setdefault(internal, [])
        for function in self.functions.values():
            if event["name"] in function.events:
                key = (function.id, event["id"]) if event.get("id") else None
                if key is not None and key in self._known:
                    continue  # a double: a new internal id, and no run of it
                if key is not None:
                    self._known.add(key)
                if self.faults.take("lost"):
                    continue
                run = NativeRun(_ulid(), function, dict(event), max(now, int(event.get("ts", 0)) * 1_000))
                self.runs[run.id] = run
                runs.append(run.id)
            for name, same in function.cancels:
                if name == event["name"]:
                    self._cancel_where(function, same, event)
        return internal

    def _cancel_where(self, function: NativeFunction, same: str, event: Mapping[str, Any]) -> None:
        found = _SAME.fullmatch(same)
        if found is None:
            raise Refused(f"an expression this double does not know: {same}")
        for run in self.runs.values():
            same_data = run.event["data"].get(found[1]) == event["data"].get(found[2])
            if same_data and run.function is function and run.status not in ENDED:
                run.status = "Cancelled"

    # -- functions ---------------------------------------------------------------------------------------------------

    def register(self, body: Mapping[str, Any]) -> bool:
        """Register an app's functions, in place of those it had; whether anything changed. Raises ``Refused``."""
        app, url, listed = body.get("appName") or body.get("appname"), body.get("url"), body.get("functions")
        if not isinstance(app, str) or not isinstance(url, str) or not isinstance(listed, list):
            raise Refused("appName, url and functions are needed")
        found = {function.id: function for function in (_function(app, one) for one in cast("list[object]", listed))}
        before = {id: function for id, function in self.functions.items() if function.app == app}
        changed = {id: one.config for id, one in found.items()} != {id: one.config for id, one in before.items()}
        self.functions = {id: one for id, one in self.functions.items() if one.app != app} | found
        return changed

    def waiting(self) -> list[NativeRun]:
        """Runs that have not ended."""
        return [run for run in self.runs.values() if run.status not in ENDED]

    def begin_crons(self) -> None:
        """A run of each function with a cron, now."""
        for function in self.functions.values():
            if function.crons:
                event = {"id": _ulid(), "name": "inngest/scheduled.timer", "data": {"cron": function.crons[0]}}
                run = NativeRun(_ulid(), function, event, self.clock.micros())
                self.runs[run.id] = run


def _function(app: str, config: Any) -> NativeFunction:
    try:
        triggers = config["triggers"]
        (step,) = config["steps"].values()
        function = NativeFunction(
            config["id"],
            app,
            step["runtime"]["url"],
            int(step["retries"]["attempts"]),
            frozenset(trigger["event"] for trigger in triggers if "event" in trigger),
            tuple(trigger["cron"] for trigger in triggers if "cron" in trigger),
            tuple((cancel["event"], cancel["if"]) for cancel in config.get("cancel") or ()),
            config,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(f"a function of another form: {error!r}") from error
    if not 1 <= len(triggers) <= MOST_TRIGGERS or function.retries > MOST_RETRIES + 1:
        raise Refused("too many triggers or retries")
    if len(config.get("concurrency") or ()) > MOST_LIMITS or len(function.cancels) > MOST_CANCELS:
        raise Refused("too many limits or cancellations")
    return function


def _ulid() -> str:
    return "01" + secrets.token_hex(12).upper()
