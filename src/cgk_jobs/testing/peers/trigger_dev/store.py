"""What the service keeps: runs, batches, waitpoint tokens, and which of its answers it gives again."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from cgk_jobs.clock import Clock
from cgk_jobs.testing.peers.trigger_dev.faults import Faults
from cgk_jobs.testing.peers.trigger_dev.runs import BadOptions, NativeRun, as_object, read_options

__all__ = ["ENDED", "Batch", "Service", "UnknownTask"]

ENDED = frozenset({"COMPLETED", "FAILED", "CANCELED", "EXPIRED"})


class UnknownTask(Exception):
    """404."""


@dataclass
class Batch:
    """A batch that is being filled. ``runs`` by the index of their line."""

    id: str
    count: int
    runs: dict[int, str] = field(default_factory=dict[int, str])


class Service:
    """The state of one environment. ``tasks``: those that are deployed; ``None``: all there might be."""

    def __init__(self, clock: Clock, faults: Faults, tasks: Collection[str] | None) -> None:
        self.clock, self.faults, self.tasks = clock, faults, tasks
        self.runs: dict[str, NativeRun] = {}
        self.batches: dict[str, Batch] = {}
        self.tokens: dict[str, Any] = {}
        """What each was completed with; ``None``: nothing yet."""
        self._keys: dict[tuple[str, str], str] = {}
        self.changed = 0
        """How often a run or token has come or changed."""

    def trigger(self, task: str, body: Mapping[str, Any], *, of_batch: bool = False) -> tuple[NativeRun, bool]:
        """A new run, or the one there is for this key. Raises ``BadOptions``, and ``UnknownTask``.

        Of a batch an unknown task's run is taken, and fails later, when nobody is asking any more.
        """
        known_task = self.tasks is None or task in self.tasks
        if not known_task and not of_batch:
            raise UnknownTask
        if self.faults.full:
            raise BadOptions("Cannot trigger, as the queue size limit for this environment has been reached")
        now = self.clock.micros()
        options, due_at = read_options(body, now)
        key = options.get("idempotencyKey")
        if key is not None and (known := self._keys.get((task, key))) is not None:
            return self.runs[known], True
        run = NativeRun(
            f"run_{secrets.token_hex(12)}",
            task,
            body.get("payload"),
            due_at,
            tuple(options.get("tags", ())),
            options.get("concurrencyKey"),
            options.get("priority", 0),
            "DELAYED" if due_at > now else "QUEUED",
        )
        if not known_task:
            run.status = "FAILED"
        elif self.faults.take("lost"):
            run.status = "LOST"  # acknowledged, and never seen again
        self.runs[run.id] = run
        if key is not None:
            self._keys[task, key] = run.id
        self.changed += 1
        return run, False

    def open_batch(self, body: Mapping[str, Any]) -> Batch:
        """Raises ``BadOptions``."""
        count = body.get("runCount")
        if not isinstance(count, int) or not 1 <= count <= 1_000:
            raise BadOptions("runCount: 1 to 1,000")
        batch = Batch(f"batch_{secrets.token_hex(12)}", count)
        self.batches[batch.id] = batch
        return batch

    def fill(self, batch: Batch, items: list[Any]) -> tuple[int, int]:
        """How many lines were taken, and how many had come before."""
        taken = again = 0
        for item in items:
            fields = as_object(item)
            index, task = fields.get("index"), fields.get("task")
            if not isinstance(index, int) or not isinstance(task, str):
                raise BadOptions("an item needs index and task")
            if index in batch.runs:
                again += 1
                continue
            batch.runs[index] = self.trigger(task, fields, of_batch=True)[0].id
            taken += 1
        return taken, again

    def cancel(self, run: NativeRun) -> None:
        """It does not ring any more; one that has ended stays as it is."""
        if run.status not in ENDED:
            run.status = "CANCELED"
        self.changed += 1

    def listed(self, tags: Collection[str]) -> list[NativeRun]:
        """Runs with any of these tags, the newest first."""
        return [run for run in reversed(self.runs.values()) if run.status != "LOST" and set(tags) & set(run.tags)]

    def waiting(self) -> list[NativeRun]:
        """Runs that have not ended."""
        return [run for run in self.runs.values() if run.status not in ENDED and run.status != "LOST"]

    def make_token(self) -> str:
        """A waitpoint token."""
        token = f"waitpoint_{secrets.token_hex(12)}"
        self.tokens[token] = None
        return token

    def complete(self, token: str, data: object) -> bool:
        """Whether there is such a token; one that was completed before keeps what it has."""
        if token not in self.tokens:
            return False
        if self.tokens[token] is None:
            self.tokens[token] = data
        self.changed += 1
        return True
